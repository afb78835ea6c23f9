"""Workers on this machine."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.launchers import local, records
from eradio.study.launchers.base import Resources
from eradio.study.launchers.local import LocalLauncher, visible_gpus
from eradio.study.processes import ProcessIdentity
from tests.contracts.launcher import LauncherContract
from tests.waiting import until

SHOW = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).write_text(str(dict(os.environ)))"


class TestLocal(LauncherContract):
    @pytest.fixture
    def launcher(self):
        return LocalLauncher()

    def test_each_worker_has_its_own_gpus_and_threads(self, launcher, job, tmp_path, start, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-a,GPU-b,8")
        asked, shown = Resources(gpus=2), tmp_path / "shown"
        shown.mkdir()
        two = {"workers": 2, "resources": asked, "command": (sys.executable, "-c", SHOW, str(shown))}
        launched = start(job.model_copy(update=two))
        until(lambda: [one.status for one in launcher.state(launched)] == [0, 0])
        environments = [eval(path.read_text()) for path in shown.iterdir()]
        assert sorted(one["CUDA_VISIBLE_DEVICES"] for one in environments) == ["4,5", "GPU-a,GPU-b"]
        assert {one["OMP_NUM_THREADS"] for one in environments} == {"1"}
        three = job.model_copy(update={"resources": asked, "workers": 3})
        assert any("need 6, and this machine shows 5" in sentence for sentence in launcher.check(three))

    def test_only_named_variables_are_passed_on(self, launcher, job, tmp_path, start, monkeypatch):
        monkeypatch.setenv("SOMETHING_ELSE", "1")
        launched = start(job.model_copy(update={"workers": 1, "command": (sys.executable, "-c", SHOW, str(tmp_path))}))
        until(lambda: [one.status for one in launcher.state(launched)] == [0])
        (shown,) = [path for path in tmp_path.iterdir() if path.is_file()]
        assert "SOMETHING_ELSE" not in eval(shown.read_text())
        assert "ERADIO_STORAGE" in eval(shown.read_text())

    def test_what_is_shown_is_what_a_shell_can_run(self, launcher, job, place):
        script = launcher.render(job)
        (place / "run" / "launches" / "first-1").mkdir(parents=True)
        (place / "end").mkdir()
        for number in range(3):
            (place / "end" / str(number)).write_text("0")
        subprocess.run(["bash", "-c", f"{script} wait"], check=True)
        assert len(list(place.glob("took-*"))) == 3
        assert shlex.split(script.splitlines()[0]) == ["cd", str(place)]

    def test_workers_are_detached_from_the_terminal(self, launcher, job, place, start):
        launched = start(job.model_copy(update={"workers": 1}))
        (process,) = launched.details["processes"]
        assert os.getsid(process["pid"]) == process["pid"]

    def test_a_supervisor_that_was_killed_takes_its_worker_along(self, launcher, job, place, start):
        launched = start(job.model_copy(update={"workers": 1}))
        (began,) = until(lambda: list(place.glob("began-*")))
        worker = ProcessIdentity.of(int(began.name.removeprefix("began-")))
        os.kill(launched.details["processes"][0]["pid"], signal.SIGKILL)
        until(lambda: worker.state() == "gone")
        until(lambda: [one.state for one in launcher.state(launched)] == ["ended"])
        assert "ended from outside" in launcher.state(launched)[0].words

    def test_another_machine_s_workers_are_not_touched(self, launcher, job, start):
        launched = start(job)
        processes = [{**process, "host": "another"} for process in launched.details["processes"]]
        foreign = launched.model_copy(update={"details": {"processes": processes}})
        assert [one.state for one in launcher.state(foreign)] == ["unknown"] * 3
        with pytest.raises(EradioError, match="not here"):
            launcher.stop(foreign, 1)

    def test_attached_workers_end_with_the_block(self, launcher, job, place):
        with records.attached(job) as launched:
            until(lambda: len(list(place.glob("began-*"))) == 3)
        assert [one.status for one in launcher.state(launched)] == [143] * 3
        assert records.launches(job.run) == [launched]

    def test_attached_workers_do_not_outlive_their_process(self, launcher, job, place):
        program = (
            "import sys, time\n"
            "from eradio.study.launchers.base import Job\n"
            "from eradio.study.launchers.records import attached\n"
            "with attached(Job.model_validate_json(sys.argv[1])):\n"
            "    time.sleep(600)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", program, job.model_dump_json()])
        until(lambda: len(list(place.glob("began-*"))) == 3)
        process.kill()
        process.wait()
        (launched,) = records.launches(job.run)
        until(lambda: [one.status for one in launcher.state(launched)] == [143] * 3)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"cpus": 100_000}, "100000 cores"),
            ({"minutes": 100}, "time limit"),
            ({"account": "us"}, "account"),
            ({"options": ("--qos=high",)}, "--qos=high"),
            ({"memory_mb": 10**9}, "1000000000 MB"),
        ],
    )
    def test_what_this_machine_has_not_is_a_sentence(self, launcher, plain, asked, said):
        (sentence,) = launcher.check(plain.model_copy(update={"resources": Resources.parse(asked, "test")}))
        assert said in sentence


def test_gpus_are_those_that_are_allowed_or_all_that_there_are(tmp_path):
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus({}, tmp_path) == ["0", "1"]  # CUDA counts those that it sees
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-7"}, tmp_path) == ["3", "GPU-7"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    assert visible_gpus({}, Path("/nonexistent")) == []


def test_a_program_that_cannot_be_begun_is_a_sentence(tmp_path):
    job = records.worker_job("local", "mine", tmp_path / "study.yaml", tmp_path / "run", 1)
    gone = job.model_copy(update={"folder": tmp_path / "gone"})
    with pytest.raises(EradioError, match="gone"):
        local.LocalLauncher().launch(gone)
