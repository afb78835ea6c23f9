"""kill -9 of the whole process group at the worst moments; then the same command, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from eradio.locks import try_lock
from eradio.study.config import StudyConfig
from eradio.study.run import open_run

CONFIG = {
    "name": "kills",
    "named": ["e_radio_mini_s"],
    "trials": 2,
    "finalists": 0,
    "baselines": "none",
    "recipe": {"steps": 4, "finalist_steps": 4, "batch": 4, "validation": 4},
    "target": {"engine": "eager", "batch": 1, "protocol": {"min_seconds": 0.02, "max_seconds": 0.05}},
}

# Each program replaces one function of the search's own process by one that ends the whole process group, as a power
# cut would, and then runs the command line as a user does.
SUDDEN_END = """
import os, signal, sys
def end(*arguments, **options):
    os.killpg(0, signal.SIGKILL)
def at(place, name):
    original = os.fsync
    def fsync(handle):
        if name in os.readlink(f"/proc/self/fd/{handle}"):
            end()
        original(handle)
    place.fsync = fsync
from eradio.study import worker
%s
worker.main(sys.argv[1])
"""

MOMENTS = {
    "in a checkpoint's write": "at(os, '.rung-4.pt')",
    "in a measurement": "import eradio.profile.measuring as m; m.compare = end",
    "between a trial's end and its telling": "import optuna; optuna.study.Study.tell = end",
    "before a trial's record": "at(os, '.record.json')",
    "in the filling of the cache": "at(os, '.train-000001')",
}


def _prepare(folder: Path) -> None:
    """What the search does before it starts its workers."""
    from rich.console import Console

    from eradio.study.search import _prepare as prepare

    prepare(open_run(folder, StudyConfig.parse(CONFIG, "test")), Console(quiet=True))


def _worker(folder: Path, program: str) -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], start_new_session=True, env=environment)
    return process.wait(timeout=300)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_study_goes_on_without_loss_or_repetition(tmp_path: Path, moment: str) -> None:
    _prepare(tmp_path)
    assert _worker(tmp_path, SUDDEN_END % MOMENTS[moment]) == -signal.SIGKILL
    study = open_run(tmp_path).studies[0]
    before = {trial.number: trial for trial in study.trials}
    finished = {number for number, trial in before.items() if trial.state == TrialState.COMPLETE}

    assert _worker(tmp_path, SUDDEN_END % "pass") == 0
    after = {trial.number: trial for trial in open_run(tmp_path).studies[0].trials}
    assert [trial.state for trial in after.values()] == [TrialState.COMPLETE] * 2
    assert len({trial.user_attrs["digest"] for trial in after.values()}) == 2
    for number in finished:
        assert after[number].values == before[number].values
    for number, trial in before.items():
        assert after[number].params.items() >= trial.params.items()
    for lock in tmp_path.rglob("*lock"):
        handle = try_lock(lock)
        assert handle is not None, lock
        os.close(handle)
    assert not list(tmp_path.glob("candidates/*/.*.tmp"))
