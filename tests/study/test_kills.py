"""kill -9 of the whole process group at the worst moments; then the same command, in real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from eradio.files import temporary_of
from eradio.locks import try_lock
from eradio.search_space import baselines
from eradio.study.config import StudyConfig
from eradio.study.reading import read_study
from eradio.study.run import open_run

CONFIG = {
    "name": "kills",
    "named": ["e_radio_mini_s"],
    "trials": 3,
    "finalists": 0,
    "baselines": "none",
    "finalist_steps": 4,
    "recipe": {"steps": 4, "partitions": [{"batch": 4}], "validation": 4},
    "target": {
        "engine": "eager",
        "batch": 1,
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.05, "block_seconds": 0.002},
    },
}

# Each program replaces one function of a worker by one that at its second call, when one trial is done and the next one
# is under way, ends the whole process group, as a power cut would.
SUDDEN_END = """
import os, signal, sys
import itertools
from pathlib import Path
def second(original):
    calls = itertools.count(1)
    def once(*arguments, **options):
        if next(calls) == 2:
            os.killpg(0, signal.SIGKILL)
        return original(*arguments, **options)
    return once
def at(name):
    original = os.fsync
    end = second(lambda: None)
    def fsync(handle):
        if name in os.readlink(f"/proc/self/fd/{handle}"):
            end()
        original(handle)
    os.fsync = fsync
from eradio.study import worker
%s
from eradio.study.run import open_run
from rich.console import Console
folder = Path(sys.argv[1])
sys.exit(worker.worker(folder, open_run(folder).config, Console(quiet=True)))
"""

MOMENTS = {
    "in a checkpoint's write": "at('.rung-4.pt')",
    "in a measurement": "import eradio.profile.measuring as m; m.compare = second(m.compare)",
    "between a trial's end and its telling": "import optuna; S = optuna.study.Study; S.tell = second(S.tell)",
    "before a trial's record": "at('.record.json')",
    "in the filling of the cache": "at('.train-00000')",
}


def _prepare(folder: Path) -> None:
    """What the search does before it starts its workers."""
    from rich.console import Console

    from eradio.study.preparing import prepare

    prepare(open_run(folder, StudyConfig.parse(CONFIG, "test")), Console(quiet=True))


def _worker(folder: Path, program: str) -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], start_new_session=True, env=environment)
    return process.wait(timeout=300)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_study_goes_on_without_loss_or_repetition(tmp_path: Path, moment: str) -> None:
    _prepare(tmp_path)
    assert _worker(tmp_path, SUDDEN_END % MOMENTS[moment]) == -signal.SIGKILL
    study = open_run(tmp_path).studies["candidate"]
    before = {trial.number: trial for trial in study.trials}
    finished = {number for number, trial in before.items() if trial.state == TrialState.COMPLETE}
    assert len(finished) == (0 if "cache" in moment else 1)

    assert _worker(tmp_path, SUDDEN_END % "pass") == 0
    after = {trial.number: trial for trial in open_run(tmp_path).studies["candidate"].trials}
    assert all(trial.state.is_finished() for trial in after.values())
    completed = [trial for trial in after.values() if trial.state == TrialState.COMPLETE]
    assert len({trial.user_attrs["digest"] for trial in completed}) == len(completed) == 3
    for number in finished:
        assert after[number].values == before[number].values
    for number, trial in before.items():
        if trial.state == TrialState.RUNNING:  # what was under way is gone on with, in a trial of its own
            assert after[number].user_attrs["end"] == "lost"
            (again,) = [one for one in after.values() if one.user_attrs.get("retry_of") == number]
            assert again.state == TrialState.COMPLETE
            assert again.params.items() >= trial.params.items()
    for lock in tmp_path.rglob("*lock"):
        handle = try_lock(lock)
        assert handle is not None, lock
        os.close(handle)
    assert not list(tmp_path.glob("candidates/*/.*.tmp"))


def test_a_whole_search_that_is_killed_goes_on_to_its_finalists(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, "baselines": "tiny", "finalists": 1}))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "eradio", "search", "--config", str(config), "--out", str(folder)]
    search = subprocess.Popen([*command, "--workers", "2"], start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(list(folder.glob("*s/*/record.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(search.pid, signal.SIGKILL)
    search.wait()
    kept = {path: path.read_bytes() for path in folder.glob("*s/*/record.json")}
    temporary_of(folder / "targets" / "train-9", search.pid).write_text("what the killed search was writing")
    assert len(kept) >= 5

    again = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stderr
    records = read_study(folder)
    assert [trial.state for trial in records.trials] == ["complete"] * len(records.trials)
    assert len({trial.network_digest for trial in records.trials}) == 3 + len(baselines("tiny"))
    assert {finalist.role for finalist in records.finalists} == {"candidate", "baseline"}
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert not list(folder.rglob(".*.tmp"))
