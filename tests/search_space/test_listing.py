import json
import xml.etree.ElementTree as ET

import pytest

from eradio.cli import run_command
from eradio.search_space import build, named
from eradio.search_space.diagram import as_svg, as_text, blocks_of
from eradio.search_space.zoo import zoo


def run(capsys, *arguments):
    assert run_command(list(arguments)) == 0
    return capsys.readouterr().out


def test_blocks_hold_every_parameter_once():
    for name in ("e_radio_mini", "e_radio_xxxtiny_8x_ws16", "e_radio_v1_b_noneck"):
        blocks = blocks_of(named(name), (224, 224))
        assert sum(block.parameters for block in blocks) == sum(p.numel() for p in build(named(name)).parameters())
        assert [block.name for block in blocks if block.name.startswith("stage")] == [f"stage {i}" for i in range(4)]


def test_the_text_says_what_the_network_is():
    text = as_text("e_radio_b", named("e_radio_b"), (224, 320))
    assert text.startswith("e_radio_b, 224x320 pixels, 173.27 M parameters")
    assert "5 x [global-sub2, local], windows 7x7, 8 heads, MLP x4, dense 3x3" in text
    assert "1024 x 14x20" in text
    assert text.count("neck: nearest, depth-wise 3x3, 1x1") == 2
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", [name for name in zoo() if name.startswith("e_radio")])
def test_the_picture_is_valid_and_says_the_same(name):
    root = ET.fromstring(as_svg(name, named(name), (224, 224)))
    words = " ".join(part.text for part in root.iter("{http://www.w3.org/2000/svg}text"))
    for block in blocks_of(named(name), (224, 224)):
        assert block.words in words
    assert "parameters" in root.attrib["aria-label"]


def test_show_lists_spaces_and_choices(capsys):
    said = run(capsys, "space", "show")
    assert all(name in said for name in ("tiny", "e_radio", "wide", "2,807,562,240"))
    said = run(capsys, "space", "show", "tiny")
    assert "[global-sub2, local]" in said
    assert "stages.3.kind" in said


def test_count_is_a_number(capsys):
    assert run(capsys, "space", "count", "tiny") == "2,807,562,240\n"


def test_sample_writes_files_that_every_command_takes(capsys, tmp_path):
    said = run(capsys, "space", "sample", "tiny", "--count", "3", "--seed", "5", "--out", str(tmp_path))
    digests = [line.split()[0] for line in said.splitlines()]
    assert len(set(digests)) == 3
    for digest in digests:
        assert named(str(tmp_path / f"{digest}.json")).digest() == digest
    assert "stage 3" in run(capsys, "space", "describe", str(tmp_path / f"{digests[0]}.json"), "--resolution", "64")


def test_describe_draws(capsys, tmp_path):
    picture = tmp_path / "b.svg"
    said = run(capsys, "space", "describe", "e_radio_b", "--svg", str(picture))
    assert "173.27 M" in said
    ET.fromstring(picture.read_text())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["count", "narrow"], "There is no space 'narrow'"),
        (["show", "missing.yaml"], "Cannot read missing.yaml"),
        (["sample", "tiny", "--count", "0"], "--count must be at least 1"),
        (["sample", "tiny", "--count", "99999999999"], "--count must be at most 2807562240"),
        (["describe", "timm/resnet18"], "timm's own"),
        (["describe", "e_radio_mini", "--resolution", "0"], "--resolution must be at least 1"),
        (["describe", "e_radio_mini", "--svg", "/proc/x.svg"], "Cannot write"),
        (["describe", "wrong.json"], "no such attention"),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    wrong = json.loads(named("e_radio_mini").canonical())
    wrong["stages"][2]["pattern"] = [2, 1]
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    assert run_command(["space", *arguments]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert words in error
