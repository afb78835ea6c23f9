"""The command line: help with examples, and one clear line for every mistake."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from eradio.cli import cli, run_command


def _verbs(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    verbs: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        verbs.append((*prefix, name))
        if isinstance(command, click.Group):
            verbs += _verbs(command, (*prefix, name))
    return verbs


def test_help_shows_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in ("search", "profile", "report", "teachers"):
        assert verb in shown


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([]) == 2
    assert "Usage: eradio" in capsys.readouterr().out


@pytest.mark.parametrize("verb", _verbs(cli), ids=" ".join)
def test_each_verb_s_help_has_one_example(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("Example: eradio " + " ".join(verb)) == 1


def test_the_shipped_teachers_are_listed_with_their_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["teachers", "list"]) == 0
    shown = capsys.readouterr().out
    for words in ("clip", "dino", "sam", "zero-shot", "k-NN", "IoU", "%"):
        assert words in shown


@pytest.fixture
def mistakes(tmp_path: Path) -> Path:
    (tmp_path / "typo.yaml").write_text("trails: 3\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "fake.png").write_text("this is text")
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "broken.json").write_text('{"stem": {"width": 8}, "stages": [{"kind": "c3f"}]}')
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "--config", "missing.yaml"], "Cannot read missing.yaml"),
        (["search", "--config", "typo.yaml"], "'trails' is not a known key"),
        (["search", "--trials", "-3"], "--trials must be at least 1"),
        (["search", "--trials", "many"], "'many' is not a valid integer"),
        (["search", "--workers", "0"], "--workers must be at least 1"),
        (["search", "--data", "nowhere", "--out", "run"], "There is no folder"),
        (["search", "--data", "empty", "--out", "run"], "holds no picture"),
        (["search", "--data", "text", "--out", "run"], "readable picture"),
        (["search", "--data", "one.png", "--out", "run"], "There is no folder"),
        (["search", "--out", "file"], "Cannot write"),
        (["search", "--sed", "3"], "No such option"),
        (["profile", "e_radio_c"], "close names"),
        (["profile", "timm/resnet5"], "resnet5"),
        (["profile", "broken.json"], "broken.json"),
        (["profile", "e_radio_mini", "--engine", "warp"], "warp"),
        (["profile", "timm/vit_tiny_patch16_224", "--resolution", "72"], "no whole number of 16x16"),
        (["report", "empty"], "no run folder"),
        (["teachers", "train", "bert"], "bert"),
        (["teachers", "train", "clip", "--minutes", "nan", "--out", "new"], "positive number of minutes"),
        (["serach"], "No such command"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_clear_line(
    arguments: list[str],
    words: str,
    mistakes: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(mistakes)
    assert run_command(arguments) != 0
    error = capsys.readouterr().err
    assert error.startswith("eradio: ")
    assert error.count("\n") == 1, error
    assert words in error


def test_a_mistake_that_cannot_even_be_said_has_its_status() -> None:
    with open("/dev/full", "wb") as full:
        assert subprocess.run([sys.executable, "-m", "eradio", "report"], stderr=full).returncode == 2
