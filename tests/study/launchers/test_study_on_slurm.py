"""A real study: real workers under a real Slurm, its trials in a real PostgreSQL."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from optuna.trial import TrialState

from eradio.cli import run_command
from eradio.study.config import read_config
from eradio.study.launchers.records import launches
from eradio.study.reading import read_study
from eradio.study.run import open_run
from tests.waiting import until

STUDY = {
    "name": "cluster",
    "named": ["e_radio_mini_s"],
    "trials": 4,
    "finalists": 0,
    "baselines": "none",
    "lease": 6,
    "halving": {"rungs": [20], "reduction": 2},
    "recipe": {"steps": 60, "partitions": [{"batch": 4}], "validation": 4},
    "target": {
        "engine": "eager",
        "batch": 1,
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.05, "block_seconds": 0.002, "half_width": 0.9},
    },
}


@pytest.mark.slow
@pytest.mark.usefixtures("slurm_node")
def test_a_study_survives_what_a_cluster_does_to_it(database, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ERADIO_STORAGE", database)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    command = ["--config", "study.yaml", "--workers", "2"]
    assert run_command(["launch", "slurm", *command, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "#SBATCH --array=0-1" in shown
    assert database not in shown
    assert not (tmp_path / "runs").exists()

    assert run_command(["launch", "slurm", *command, "--minutes", "30"]) == 0
    (launched,) = launches(tmp_path / "runs" / "cluster")
    run = open_run(tmp_path / "runs" / "cluster", read_config(tmp_path / "study.yaml"))

    def running() -> list[int]:
        return [trial.number for trial in run.candidates() if trial.state == TrialState.RUNNING]

    until(running, 120)
    assert run_command(["status", "runs/cluster"]) == 0
    shown = capsys.readouterr().out
    assert "of 4 candidates begun" in shown
    assert "slurm-1" in shown
    subprocess.run(["scontrol", "requeue", f"{launched.details['job']}_0"], check=True)
    until(lambda: run.ledger.finished() and not running(), 300, every=0.5)

    trials = run.candidates()
    assert all(trial.state.is_finished() for trial in trials)
    records = [one for one in read_study(run.folder, run).trials if one.duplicate_of is None]
    assert len(records) == 4
    assert {one.state for one in records} <= {"complete", "halted"}
    for one in records:
        kept = json.loads((run.folder / "candidates" / f"{one.number:04d}" / "record.json").read_text())
        assert kept["score"]["loss"] == one.score.loss
    assert run_command(["stop", "runs/cluster", "--now"]) == 0
    assert run_command(["report", "runs/cluster"]) == 0


def test_the_worker_s_exit_status_says_whether_to_try_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    nobody = {"ERADIO_STORAGE": "postgresql://me@127.0.0.1:1/none"}
    command = [sys.executable, "-m", "eradio", "worker", "--config", "study.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, env={**_environment(), **nobody}, timeout=120)
    assert done.returncode == 75
    assert "does not answer" in done.stderr.strip().splitlines()[-1]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**STUDY, "space": "none.yaml"}))
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=120)
    assert done.returncode == 1
    assert "none.yaml" in done.stderr.strip().splitlines()[-1]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
