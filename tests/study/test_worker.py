"""A worker that is started by hand."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from eradio.study.run import open_run
from tests.waiting import until

CONFIG = (
    "{trials: 2, finalists: 0, baselines: none, "
    "recipe: {steps: 400, partitions: [{batch: 4}], validation: 4, targets: live}, "
    "target: {engine: eager, batch: 1, protocol: {min_seconds: 0.02, max_seconds: 0.05, block_seconds: 0.002}}}"
)


MEASURING = """
import signal, sys, time
from pathlib import Path
from eradio.cli import run_command
from eradio.study import objective, preparing

def endless(*_, **__):
    Path(sys.argv[1], "measuring").touch()
    try:
        time.sleep(600)
    except BaseException:
        if sys.argv[3] == "as it comes":
            raise
    raise RuntimeError("an engine made this of what a call back raised")

signal.signal(signal.SIGINT, signal.default_int_handler)
module = preparing if sys.argv[4] == "calibrate" else objective
setattr(module, sys.argv[4], endless)
sys.exit(run_command(["worker", "--config", sys.argv[2], "--out", sys.argv[1]]))
"""


def _asked_to_stop_in(what: str, folder: Path, way: str) -> tuple[int, str]:
    config, run = folder / "study.yaml", folder / "run"
    config.write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURING, str(run), str(config), way, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until((run / "measuring").exists, 240)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("way", ["as it comes", "as another error"])
def test_a_worker_that_is_asked_to_stop_while_it_measures_hands_its_trial_back_at_once(
    tmp_path: Path, way: str
) -> None:
    status, said = _asked_to_stop_in("measure", tmp_path, way)
    assert status == 143, said
    held, again = open_run(tmp_path / "run").candidates()
    assert (held.state, held.user_attrs["end"]) == (TrialState.FAIL, "pre-empted")
    assert again.state == TrialState.WAITING


def test_a_worker_that_is_asked_to_stop_before_its_first_trial_ends_as_one_that_was(tmp_path: Path) -> None:
    status, said = _asked_to_stop_in("calibrate", tmp_path, "as another error")
    assert (status, said.strip().splitlines()[-1]) == (143, "Asked to stop; what was held can be gone on with.")


def test_ctrl_c_hands_back_what_a_worker_holds(tmp_path: Path) -> None:
    config, run = tmp_path / "study.yaml", tmp_path / "run"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "eradio", "worker", "--config", str(config), "--out", str(run)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A test run in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: list(run.glob("candidates/*/measurement.json")), 240)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1] == "Asked to stop; what was held can be gone on with."
    held, again = open_run(run).candidates()
    assert held.state == TrialState.FAIL
    assert held.user_attrs["end"] == "pre-empted"
    assert again.state == TrialState.WAITING
