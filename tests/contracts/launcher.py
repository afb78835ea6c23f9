"""What every launcher must do. `RenderingContract` needs no cluster; `LauncherContract` starts real processes.

A new launcher's test module subclasses one or both, and gives the fixture `launcher`:

class TestMyLauncher(LauncherContract):
    @pytest.fixture
    def launcher(self):
        return MyLauncher()
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.launchers import records
from eradio.study.launchers.base import Job, Launched, Launcher, Resources
from eradio.study.restarts import Rules
from tests.waiting import until

SECRET = "correct-horse-battery"

# Says that it began; ends when its folder says so, with a status that it takes from there; keeps what it did if asked.
WORKER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def asked(number, frame):
    (folder / f"kept-{os.getpid()}").touch()
    sys.exit(143)
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, asked)
(folder / f"variable-{os.getpid()}").write_text(os.environ.get("ERADIO_STORAGE", ""))
(folder / f"began-{os.getpid()}").touch()
while not (folder / "end").exists():
    time.sleep(0.05)
for path in sorted((folder / "end").iterdir()):
    try:
        path.rename(folder / f"took-{os.getpid()}")
    except FileNotFoundError:
        continue
    status = int((folder / f"took-{os.getpid()}").read_text())
    print(f"The folder says {status}.", file=sys.stderr)
    sys.exit(status)
"""


class RenderingContract:
    """What is shown before anything starts."""

    @pytest.fixture
    def launcher(self) -> Launcher:
        raise NotImplementedError("give the launcher under test")

    @pytest.fixture
    def resources(self) -> Resources:
        """What a job of these tests may ask for."""
        return Resources(notice_seconds=5)

    @pytest.fixture(autouse=True)
    def _secret(self, monkeypatch):
        monkeypatch.setenv("ERADIO_STORAGE", f"postgresql://user:{SECRET}@host/db")

    @pytest.fixture
    def place(self, tmp_path) -> Path:
        """Where the workers of a test meet; its name has what names can have."""
        folder = tmp_path / "a study's 50% folder"
        folder.mkdir()
        return folder

    @pytest.fixture
    def job(self, place, resources) -> Job:
        """Three workers."""
        config = place / "study.yaml"
        config.write_text("name: mine\ntrials: 3\n")
        (place / "worker.py").write_text(WORKER)
        return Job(
            name="first-1",
            study="mine",
            command=(sys.executable, str(place / "worker.py"), str(place)),
            workers=3,
            folder=place,
            run=place / "run",
            config=config,
            environment=("ERADIO_STORAGE",),
            resources=resources,
            rules=Rules(first_wait=0.1, longest_wait=1, deaths=3, patience=20),
        )

    @pytest.fixture
    def plain(self, job) -> Job:
        """The same with a command that can be read in what is rendered."""
        return job.model_copy(update={"command": ("eradio", "worker", "--config", "study.yaml")})

    def test_a_sound_job_lacks_nothing(self, launcher, job, plain):
        assert launcher.check(plain) == []

    def test_rendering_shows_the_command_the_workers_and_starts_nothing(self, launcher, plain):
        text = launcher.render(plain)
        assert "worker" in text
        assert "study.yaml" in text
        assert "eradio.study." in text
        assert launcher.render(plain) == text
        assert not plain.run.exists()

    def test_rendering_follows_the_number_of_workers(self, launcher, plain):
        assert launcher.render(plain) != launcher.render(plain.model_copy(update={"workers": 7}))

    def test_variables_are_named_and_their_values_never_shown(self, launcher, plain):
        assert SECRET not in launcher.render(plain)
        assert SECRET not in plain.canonical()

    @pytest.mark.parametrize(
        "changes",
        [
            {"resources": {"gpus": 4096, "memory_mb": 10**9, "options": ("--bad\nname=1",)}},
            {"resources": {"options": ("no option",)}},
            {"resources": {"partition": "a; touch here"}},
            {"command": ("eradio", "worker", f"--storage=postgresql://user:{SECRET}@host/db")},
            {"command": ("eradio", "worker\n#SBATCH --uid=0")},
            {"config": "/nowhere/study.yaml"},
        ],
        ids=["too much", "an option", "a partition", "a password", "a line break", "no study"],
    )
    def test_what_cannot_be_had_is_a_sentence_before_anything_starts(self, launcher, plain, changes):
        wrong = launcher.check(Job.parse({**plain.model_dump(), **changes}, "test"))
        assert wrong
        assert all(sentence[0].isupper() or sentence[0] in "'-0123456789" for sentence in wrong)
        assert all(sentence.endswith(".") for sentence in wrong)
        assert SECRET not in " ".join(wrong)

    def test_a_refused_job_leaves_nothing_behind(self, launcher, plain):
        refused = plain.model_copy(update={"config": plain.folder / "missing.yaml"})
        with pytest.raises(EradioError, match=r"missing\.yaml"):
            records.begin(launcher.name, refused)
        assert not plain.run.exists()


class LauncherContract(RenderingContract):
    """What the workers do once they are started."""

    @pytest.fixture
    def start(self, launcher, place):
        """Starts a job; whatever still runs at the end of the test is stopped."""
        begun: list[Launched] = []

        def start(job: Job) -> Launched:
            begun.append(records.begin(launcher.name, job))
            return begun[-1]

        yield start
        for launched in begun:
            launcher.stop(launched, 10)

    def test_so_many_workers_start_and_each_ends_by_its_own_status(self, launcher, job, place, start):
        launched = start(job)
        until(lambda: len(_pids(place)) == 3)
        until(lambda: _states(launcher, launched) == ["running"] * 3)
        assert SECRET in (place / f"variable-{_pids(place)[0]}").read_text()
        _end(place, [0, 1, 0])
        until(lambda: _states(launcher, launched) == ["ended"] * 3, every=0.3)
        ends = launcher.state(launched)
        assert [worker.number for worker in ends] == [0, 1, 2]
        assert sorted(str(worker.status) for worker in ends) == ["0", "0", "1"]
        assert [worker.words for worker in ends if worker.status == 1] == ["The folder says 1."]
        assert len(_pids(place)) == 3

    def test_a_worker_that_is_killed_comes_back(self, launcher, job, place, start):
        launched = start(job)
        until(lambda: len(_pids(place)) == 3)
        os.kill(_pids(place)[1], signal.SIGKILL)
        until(lambda: len(_pids(place)) == 4)
        until(lambda: _states(launcher, launched) == ["running"] * 3)
        _end(place, [0, 0, 0])
        until(lambda: [worker.status for worker in launcher.state(launched)] == [0, 0, 0], every=0.3)

    def test_a_passing_trouble_is_waited_for(self, launcher, job, place, start):
        launched = start(job.model_copy(update={"workers": 1}))
        until(lambda: len(_pids(place)) == 1)
        _end(place, [75, 75, 0])
        until(lambda: [worker.status for worker in launcher.state(launched)] == [0], every=0.3)
        assert len(_pids(place)) == 3

    def test_stopping_keeps_what_was_done_and_leaves_no_process(self, launcher, job, place, start):
        launched = start(job)
        pids = until(lambda: len(_pids(place)) == 3 and _pids(place))
        launcher.stop(launched, 30)
        assert _states(launcher, launched) == ["ended"] * 3
        assert sorted(path.name for path in place.glob("kept-*")) == sorted(f"kept-{pid}" for pid in pids)
        until(lambda: not _processes_naming(place))
        launcher.stop(launched, 1)

    def test_workers_that_do_not_listen_are_ended(self, launcher, job, place, start):
        deaf = WORKER.replace("signal.signal(number, asked)", "signal.signal(number, signal.SIG_IGN)")
        (place / "worker.py").write_text(deaf)
        launched = start(job.model_copy(update={"workers": 2}))
        until(lambda: len(_pids(place)) == 2)
        launcher.stop(launched, 1)
        until(lambda: not _processes_naming(place))
        until(lambda: _states(launcher, launched) == ["ended"] * 2, every=0.3)

    def test_a_launch_is_data_that_any_process_can_read(self, launcher, job, place, start):
        start(job)
        (launched,) = records.launches(job.run)
        assert Launched.parse(json.loads(launched.model_dump_json()), "test") == launched
        until(lambda: _states(launcher, launched) == ["running"] * 3)
        ((seen, workers),) = records.states(job.run)
        assert (seen, len(workers)) == (launched, 3)
        assert records.stop_all(job.run, 30) == []
        assert _states(launcher, launched) == ["ended"] * 3

    def test_no_secret_is_written_or_in_a_process_s_title(self, launcher, job, place, start):
        start(job)
        until(lambda: len(_pids(place)) == 3)
        titles = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
        assert not any(SECRET.encode() in title for title in titles)
        written = [path for path in job.run.rglob("*") if path.is_file()]
        assert written
        assert not any(SECRET in path.read_text() for path in written)


def _pids(place: Path) -> list[int]:
    """Every process that ever began, oldest first."""
    paths = sorted(place.glob("began-*"), key=lambda path: path.stat().st_mtime_ns)
    return [int(path.name.removeprefix("began-")) for path in paths]


def _end(place: Path, statuses: list[int]) -> None:
    """Let every worker end, each with the next of these statuses."""
    made = place / "made"
    made.mkdir()
    for number, status in enumerate(statuses):
        (made / str(number)).write_text(str(status))
    made.rename(place / "end")


def _states(launcher: Launcher, launched: Launched) -> list[str]:
    return [worker.state for worker in launcher.state(launched)]


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def _processes_naming(place: Path) -> list[str]:
    return [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _readable(path) and str(place).encode() in path.read_bytes()
    ]
