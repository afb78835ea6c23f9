"""Workers of a real Slurm of one machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.launchers import records, slurm_queue
from eradio.study.launchers.base import Resources
from eradio.study.launchers.slurm import SlurmLauncher
from eradio.study.launchers.slurm_task import goes_on, queue_again
from eradio.study.supervisor import Note
from tests.contracts.launcher import LauncherContract
from tests.waiting import until

# The first one waits to be asked, and hands its work back; every later one is done at once.
ONCE = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def asked(number, frame):
    (folder / f"asked-by-{number}").touch()
    sys.exit(143)
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, asked)
begun = len(list(folder.glob("began-*")))
(folder / f"began-{begun}").touch()
print("begin", begun, flush=True)
while not begun:
    time.sleep(0.05)
"""


@pytest.mark.usefixtures("slurm_node")
class TestSlurm(LauncherContract):
    @pytest.fixture
    def launcher(self):
        return SlurmLauncher()

    @pytest.fixture
    def once(self, job, place):
        """A job of one worker that is done when it runs a second time."""
        (place / "worker.py").write_text(ONCE)
        return job.model_copy(update={"workers": 1})

    @pytest.mark.slow
    def test_the_time_limit_s_notice_queues_a_worker_again(self, launcher, once, place, start):
        asked = once.resources.model_copy(update={"minutes": 1, "notice_seconds": 25})
        launched = start(once.model_copy(update={"resources": asked}))
        until(lambda: (place / "began-1").exists(), 120)
        assert [path.name for path in place.glob("asked-by-*")] == [f"asked-by-{signal.SIGUSR2:d}"]
        until(lambda: [worker.status for worker in launcher.state(launched)] == [0], every=0.3)
        log = once.log(0).read_text()
        assert log.index("begin 0") < log.index("begin 1")

    def test_a_task_that_slurm_queues_again_goes_on(self, launcher, once, place, start, slurm_node):
        launched = start(once)
        until(lambda: (place / "began-0").exists())
        subprocess.run(["scontrol", "requeue", f"{launched.details['job']}_0"], check=True)
        until(lambda: [worker.state for worker in launcher.state(launched)] == ["waiting"])
        until(lambda: (place / "began-1").exists(), 120)
        until(lambda: [worker.status for worker in launcher.state(launched)] == [0], every=0.3)

    def test_a_task_that_is_killed_with_all_it_runs_is_known_to_have_ended(self, launcher, job, place, start):
        launched = start(job)
        until(lambda: len(list(place.glob("began-*"))) == 3)
        (supervisor,) = _pids_naming("slurm_task", str(job.log(1)))
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: [one.state for one in launcher.state(launched)] == ["running", "ended", "running"], every=0.3)
        assert [one.status for one in launcher.state(launched)] == [None, 137, None]

    def test_what_waits_is_taken_back(self, launcher, job, place, start, slurm_node):
        asked = job.resources.model_copy(update={"cpus": slurm_node.cores})
        launched = start(job.model_copy(update={"resources": asked, "workers": slurm_node.nodes + 2}))
        states = ["running"] * slurm_node.nodes + ["waiting"] * 2
        until(lambda: sorted(one.state for one in launcher.state(launched)) == states)
        assert any("queue" in one.words for one in launcher.state(launched))
        until(lambda: len(list(place.glob("began-*"))) == slurm_node.nodes)
        launcher.stop(launched, 30)
        assert all(one.state == "ended" for one in launcher.state(launched))
        assert len(list(place.glob("began-*"))) == slurm_node.nodes

    @pytest.mark.parametrize("other", [{"name": "eradio-mine-first-1-others"}, {"user": "1"}])
    def test_another_job_that_got_the_same_number_is_left_alone(self, launcher, job, place, start, other):
        launched = start(job.model_copy(update={"workers": 1}))
        until(lambda: list(place.glob("began-*")))
        mistaken = launched.model_copy(update={"details": {**launched.details, **other}})
        launcher.stop(mistaken, 5)
        assert [one.state for one in launcher.state(launched)] == ["running"]
        job.note(0).unlink()
        assert [one.state for one in launcher.state(mistaken)] == ["unknown"]
        # Where it runs although squeue said that it does not, scancel must spare it by itself.
        slurm_queue.cancel(slurm_queue.Array.parse(mistaken.details, "test"))
        assert [one.state for one in launcher.state(launched)] == ["running"]

    def test_what_slurm_refuses_is_a_sentence(self, job):
        asked = job.resources.model_copy(update={"partition": "nowhere"})
        with pytest.raises(EradioError, match=r"Slurm refused the job .*partition"):
            records.begin("slurm", job.model_copy(update={"resources": asked}))
        assert not job.logs.exists()

    def test_a_time_limit_that_ends_before_its_notice_is_refused(self, launcher, plain):
        asked = Resources(minutes=1, notice_seconds=60)
        (wrong,) = launcher.check(plain.model_copy(update={"resources": asked}))
        assert "leaves nothing before the notice of 60 seconds" in wrong

    def test_further_options_reach_slurm(self, launcher, job, place, start, slurm_node):
        asked = job.resources.model_copy(update={"options": ("--nice=7", "--comment=two words # and a sign")})
        launched = start(job.model_copy(update={"resources": asked, "workers": 1}))
        shown = slurm_node.said("scontrol", "show", "job", launched.details["job"])
        assert "Nice=7" in shown
        assert "Comment=two words # and a sign" in shown

    def test_nothing_is_known_of_what_the_controller_forgot(self, launcher, job, start):
        launched = start(job)
        launcher.stop(launched, 30)
        for number in range(3):
            job.note(number).unlink(missing_ok=True)
        forgotten = launched.model_copy(update={"details": {**launched.details, "job": "999999"}})
        assert [(one.state, one.status) for one in launcher.state(forgotten)] == [("unknown", None)] * 3

    def test_without_an_answer_nothing_is_known_and_nothing_stopped(self, launcher, job, start, monkeypatch, tmp_path):
        launched = start(job)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            assert [one.state for one in launcher.state(launched)] == ["unknown"] * 3
            with pytest.raises(EradioError, match="squeue"):
                launcher.stop(launched, 1)
            assert any("sbatch" in sentence for sentence in launcher.missing())

    @pytest.mark.parametrize(
        "option",
        [
            "--array=0-9",
            "--arr=0-9",
            "--export=NONE",
            "--wrap=rm",
            "-p",
            "--a=b\n#SBATCH --uid=0",
            '--comment="',
            "name=1",
        ],
    )
    def test_options_that_are_the_launcher_s_own_or_no_options_are_refused(self, launcher, plain, option):
        asked = plain.resources.model_copy(update={"options": (option,)})
        assert launcher.check(plain.model_copy(update={"resources": asked}))

    def test_the_script_is_one_that_a_shell_and_sbatch_can_read(self, launcher, plain):
        asked = Resources(gpus=2, cpus=4, memory_mb=2048, minutes=90, partition="long", account="us", notice_seconds=60)
        text = launcher.render(plain.model_copy(update={"resources": asked, "workers": 5}))
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        for option in (
            *("--array=0-4", "--requeue", "--open-mode=append", "--signal=B:USR2@60", "--gres=gpu:2", "--time=90"),
            *("--mem=2048M", "--cpus-per-task=4", "--partition=long", "--account=us"),
        ):
            assert f"#SBATCH {option}\n" in text
        assert "#SBATCH --export=PATH," in text
        assert "ERADIO_STORAGE" in text
        everything = plain.model_copy(update={"environment": None})
        assert "#SBATCH --export=ALL\n" in launcher.render(everything)


def _pids_naming(*words: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode()
        except OSError:
            continue
        if all(word in title for word in words):
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("told", "status", "on"),
    [
        (signal.SIGUSR2, 143, True),
        (signal.SIGUSR2, 137, True),
        (signal.SIGUSR2, 0, False),
        (signal.SIGUSR2, 1, False),
        (signal.SIGTERM, 143, False),
        (None, 143, False),
    ],
)
def test_only_the_time_limit_s_notice_queues_again(told, status, on):
    assert goes_on(Note(state="ended", starts=1, status=status, told=told, when="now")) is on


def test_a_task_that_cannot_be_queued_again_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Launch the study again" in queue_again({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"})
    (tmp_path / "scontrol").write_text(f"#!{sys.executable}\nimport sys\nsys.exit(f'no {{sys.argv[2]}}')\n")
    (tmp_path / "scontrol").chmod(0o755)
    assert "(no 7_2)" in queue_again({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"})


def test_what_the_accounting_says_of_a_task_s_last_run_counts():
    found = slurm_queue.read_sacct(
        "12_0|PREEMPTED|0:0\n12_0|COMPLETED|0:0\n12_1|CANCELLED by 0|0:9\n12_[2-3]|PENDING|0:0", 4
    )
    assert [(one.state, one.status) for one in found.values()] == [
        ("ended", 0),
        ("ended", 137),
        ("waiting", None),
        ("waiting", None),
    ]


def test_tasks_that_never_ran_stand_together():
    line = "JobId=5 ArrayJobId=5 ArrayTaskId=2-3,7%4 JobState=CANCELLED ExitCode=0:0"
    assert sorted(slurm_queue.read_scontrol(line, 9)) == [2, 3, 7]
    assert sorted(slurm_queue.read_sacct("5_[2-3,7%4]|CANCELLED by 0|0:0", 9)) == [2, 3, 7]


def test_a_cancelled_task_that_never_ran_has_no_status():
    (one,) = slurm_queue.read_scontrol("JobId=5 ArrayJobId=5 ArrayTaskId=4 JobState=CANCELLED ExitCode=0:0", 5).values()
    assert (one.state, one.status, one.words) == ("ended", None, "Slurm says CANCELLED.")
