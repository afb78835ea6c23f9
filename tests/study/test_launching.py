"""Workers started, looked at and stopped by their verbs, on this machine."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState
from rich.console import Console

from eradio.cli import run_command
from eradio.errors import EradioError, StorageDownError
from eradio.study.config import StudyConfig
from eradio.study.launchers.records import begin, states, worker_job
from eradio.study.launching import launched_table, stop
from eradio.study.restarts import Rules
from eradio.study.run import open_run
from tests.waiting import until

STUDY: dict[str, Any] = {
    "name": "launched",
    "trials": 2,
    "finalists": 0,
    "baselines": "none",
    "finalist_steps": 4000,
    "recipe": {"steps": 4000, "partitions": [{"batch": 4}], "validation": 4, "targets": "live"},
    "target": {
        "engine": "eager",
        "batch": 1,
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.05, "block_seconds": 0.002, "half_width": 0.9},
    },
}


def test_launched_workers_are_seen_keep_their_work_when_stopped_and_take_nothing_while_draining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    options = ["--config", "study.yaml", "--workers", "1"]
    assert run_command(["launch", "local", *options, "--dry-run"]) == 0
    assert "eradio worker --config" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert run_command(["launch", "local", *options]) == 0
    assert "eradio status runs/launched" in capsys.readouterr().out
    folder = tmp_path / "runs" / "launched"
    # A checkpoint is kept every few seconds; the training takes some minutes.
    until(lambda: list(folder.glob("candidates/0000/rung-4000.pt")), 240)
    assert run_command(["status", "runs/launched"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 candidates begun" in shown
    assert "local-1" in shown
    assert run_command(["stop", "runs/launched", "--now"]) == 0
    ((_, (worker,)),) = states(folder)
    assert (worker.state, worker.status) == ("ended", 143)
    trials = open_run(folder).candidates()
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.WAITING]
    assert trials[0].user_attrs["end"] == "pre-empted"
    capsys.readouterr()
    assert run_command(["status", "runs/launched"]) == 0
    assert "Workers were asked to end at once" in capsys.readouterr().out

    assert run_command(["stop", "runs/launched"]) == 0
    command = [sys.executable, "-m", "eradio", "worker", "--config", "study.yaml"]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)
    assert done.returncode == 0
    assert [trial.state for trial in open_run(folder).candidates()] == [TrialState.FAIL, TrialState.WAITING]


def _begun(run: Path, *programs: str) -> None:
    """Launches of this machine, each of one worker that runs a program of a shell's."""
    for program in programs:
        job = worker_job("local", "mine", run / "study.yaml", run, 1, rules=Rules(patience=5))
        begin("local", job.model_copy(update={"command": ("sh", "-c", program), "config": None}))


def test_launched_workers_are_stopped_also_while_the_storage_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERADIO_STORAGE", "postgresql://me@127.0.0.1:1/none")
    _begun(tmp_path / "run", "exec sleep 600")
    with pytest.raises(StorageDownError, match="does not answer"):
        stop(open_run(tmp_path / "run", StudyConfig()), now=False)
    ((_, (worker,)),) = states(tmp_path / "run")
    assert worker.state != "ended"
    with pytest.raises(EradioError, match="does not answer"):
        stop(open_run(tmp_path / "run", StudyConfig()), now=True)
    ((_, (worker,)),) = states(tmp_path / "run")
    assert worker.state == "ended"


def test_why_a_worker_ended_is_shown_of_the_latest_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        with console.capture() as capture:
            console.print(launched_table(tmp_path))
        return capture.get()

    console = Console(width=120)
    assert shown().strip() == ""
    _begun(tmp_path, "echo 'There is no such space.' >&2; exit 1")
    until(lambda: all(worker.state == "ended" for _, workers in states(tmp_path) for worker in workers))
    assert "ended (1)" in shown()
    assert "There is no such space." in shown()
    assert "No launched worker is alive." in shown()
    time.sleep(1.1)  # launches are told apart by the second
    _begun(tmp_path, "exit 0")
    until(lambda: all(worker.state == "ended" for _, workers in states(tmp_path) for worker in workers))
    assert shown().strip() == "No launched worker is alive."


@pytest.mark.parametrize("launcher", ["slurm", "kubernetes"])
def test_workers_of_several_machines_are_refused_a_storage_of_one(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERADIO_STORAGE", raising=False)
    options = ["--option=--image=a", "--option=--claim=b"] if launcher == "kubernetes" else []
    for more in ([], ["--dry-run"]):
        assert run_command(["launch", launcher, "--workers", "1", *options, *more]) != 0
        assert "postgresql://USER@HOST/DATABASE" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    if launcher == "kubernetes":  # a Secret may give the pods another
        assert run_command(["launch", launcher, "--workers", "1", *options, "--option=--secret=c", "--dry-run"]) == 0


def test_a_study_is_known_by_its_folder_right_after_its_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gone = {**STUDY["recipe"], "data": {"kind": "folder", "path": str(tmp_path / "gone")}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**STUDY, "recipe": gone}))
    launch = ["launch", "local", "--config", "study.yaml", "--workers", "1"]
    assert run_command([*launch, "--gpus", "99"]) != 0
    assert not (tmp_path / "runs" / "launched" / "study.json").exists()
    assert run_command(launch) == 0
    assert run_command(["status", "runs/launched"]) == 0
    assert "0 of 2 candidates" in capsys.readouterr().out
    assert run_command(["stop", "runs/launched", "--now"]) == 0
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))  # none was begun, so it may be mended
    assert run_command([*launch, "--gpus", "99"]) != 0
    assert "GPU" in capsys.readouterr().err


def test_a_study_on_kubernetes_is_looked_at_by_its_file_and_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ERADIO_STORAGE", f"journal:{tmp_path}/journal")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "kubectl").chmod(0o755)
    Path("study.yaml").write_text(yaml.safe_dump(STUDY))
    run = open_run(tmp_path / "nowhere", StudyConfig.parse(STUDY, "test"))
    assert run.candidates() == []  # a pod has begun it
    assert run_command(["status", "study.yaml"]) == 0
    assert run_command(["stop", "study.yaml"]) == 0
    assert run.ledger.asked_to_stop() == "drain"
    assert not Path("runs").exists()
    options = [f"--option=--{name}" for name in ("image=a", "claim=b", "secret=c")]
    launch = ["launch", "kubernetes", "--config", "study.yaml", "--workers", "1", *options]
    capsys.readouterr()
    assert run_command(launch) == 0
    assert "eradio status study.yaml" in capsys.readouterr().out
    assert not run.ledger.asked_to_stop()
    monkeypatch.delenv("ERADIO_STORAGE")
    assert run_command(launch) == 0
    assert "ERADIO_STORAGE is not set here" in " ".join(capsys.readouterr().out.split())


def test_what_a_dry_run_shows_can_be_run_and_what_is_missing_is_said_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ["--option=--image=a", "--option=--claim=b", "--option=--secret=c"]
    assert run_command(["launch", "kubernetes", "--workers", "1", *options, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert list(yaml.safe_load_all(shown.out))
    assert "There is no kubectl here." in shown.err


@pytest.mark.parametrize(
    "refused",
    [
        ["launch", "local", "--workers", "1", "--minutes", "9"],
        ["launch", "local", "--workers", "1", "--out", "another"],
        ["launch", "kubernetes", "--workers", "1", "--option=--colour=red", "--option=--secret=c"],
        ["launch", "kubernetes", "--workers", "1", "--option=--secret=c", "--storage", "postgresql://me@host/db"],
    ],
)
def test_a_dry_run_of_what_would_be_refused_is_refused(
    refused: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "another").mkdir()
    for file, text in (("study.json", json.dumps({"space": "e_radio"})), ("facts.json", "{}")):
        (tmp_path / "another" / file).write_text(text)
    said = []
    for arguments in (refused, [*refused, "--dry-run"]):
        assert run_command(arguments) == 1
        said.append(capsys.readouterr())
    assert said[0].err.split()[:9] == said[1].err.split()[:9]
    assert said[1].out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["launch", "nowhere", "--workers", "1"], "nowhere"),
        (["launch", "local", "--workers", "1", "--config", "none.yaml"], "none.yaml"),
        (["launch", "local", "--workers", "1", "--gpus", "9"], "GPU"),
        (["status", "none"], "none"),
        (["stop", "none"], "none"),
        (["search", "--storage", "postgresql://me:secret@host/db"], "password"),
        (["search", "--storage", "redis://host"], "postgresql"),
        (["search", "--storage", ""], "--storage is empty"),
        (["launch", "local", "--workers", "1", "--storage", " "], "--storage is empty"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(arguments) != 0
    said = capsys.readouterr().err
    assert words in said
    assert "secret" not in said
    assert len(said.strip().splitlines()) == 1
