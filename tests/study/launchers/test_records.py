"""Launchers by name, and launches as files."""

import sys

import pytest

from eradio.errors import EradioError
from eradio.study.launchers import launcher_names, load_launcher, records
from eradio.study.launchers.base import Resources
from eradio.study.supervisor import read_note


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: mine\n")
    return path


def test_every_launcher_has_its_name():
    assert launcher_names() == ("kubernetes", "local", "slurm")
    assert [load_launcher(name).name for name in launcher_names()] == list(launcher_names())


def test_an_unknown_launcher_is_a_sentence():
    with pytest.raises(EradioError, match=r"no launcher 'pbs'\. Choose one of kubernetes, local, slurm"):
        load_launcher("pbs")


def test_a_worker_s_command_is_the_program_s_own(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = records.worker_job("local", "mine", config.relative_to(tmp_path), tmp_path / "run", 2)
    assert job.command[:4] == (sys.executable, "-m", "eradio", "worker")
    assert job.command[4:] == ("--config", str(config), "--out", str(tmp_path / "run"))


def test_what_is_no_job_is_a_sentence(config, tmp_path):
    with pytest.raises(EradioError, match="workers"):
        records.worker_job("local", "mine", config, tmp_path / "run", 0)
    with pytest.raises(EradioError, match="environment"):
        records.worker_job("local", "mine", config, tmp_path / "run", 1, environment=("A=secret",))


def test_under_slurm_a_worker_has_nearly_all_of_the_notice_to_keep_what_it_did(config, tmp_path):
    def patience(launcher, seconds):
        asked = Resources(notice_seconds=seconds)
        return records.worker_job(launcher, "mine", config, tmp_path / "run", 1, asked).rules.patience

    assert [patience("slurm", seconds) for seconds in (300, 60, 30)] == [280, 40, 20]
    assert patience("local", 300) == 60


def test_every_launch_has_a_name_of_its_own(config, tmp_path):
    run = tmp_path / "run"
    job = records.worker_job("local", "mine", config, run, 1).model_copy(update={"command": ("true",)})
    assert job.name == "local-1"
    records.begin("local", job)
    assert records.worker_job("local", "mine", config, run, 1).name == "local-2"
    assert records.worker_job("slurm", "mine", config, run, 1).name == "slurm-1"
    with pytest.raises(EradioError, match="has a launch local-1 already"):
        records.begin("local", job)
    assert [one.job.name for one in records.launches(run)] == ["local-1"]


def test_a_run_folder_without_launches_has_none(tmp_path):
    assert records.launches(tmp_path) == []
    assert records.stop_all(tmp_path, 1) == []


def test_what_cannot_be_stopped_does_not_keep_others_running(config, tmp_path):
    run = tmp_path / "run"
    sleeping = {"command": ("sleep", "600")}
    here = records.begin("local", records.worker_job("local", "mine", config, run, 1).model_copy(update=sleeping))
    processes = [{**process, "host": "another"} for process in here.details["processes"]]
    job = here.job.model_copy(update={"name": "local-0"})
    records.keep(here.model_copy(update={"job": job, "details": {"processes": processes}, "when": "1999"}))
    assert [one.job.name for one in records.launches(run)] == ["local-0", "local-1"]
    (wrong,) = records.stop_all(run, 10)
    assert wrong.startswith("local-0: These workers run on")
    assert load_launcher("local").state(here)[0].state == "ended"


def test_workers_that_nobody_could_find_again_are_stopped(config, tmp_path):
    job = records.worker_job("local", "mine", config, tmp_path / "run", 1)
    job.logs.with_suffix(".json").mkdir(parents=True)  # where the launch would be written
    with pytest.raises(EradioError, match="Cannot write"):
        records.begin("local", job.model_copy(update={"command": ("sleep", "600")}))
    (worker,) = [read_note(path) for path in job.logs.glob("*.json")] or [None]
    assert worker is None or worker.state == "ended"


def test_a_launch_that_was_refused_leaves_no_folder(config, tmp_path, monkeypatch):
    asked = Resources(options=("--image=a", "--claim=b"))
    job = records.worker_job("kubernetes", "mine", config, tmp_path / "run", 1, asked)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EradioError, match="no kubectl"):
        records.begin("kubernetes", job)
    assert not job.logs.exists()


def test_resources_are_counted_from_one():
    with pytest.raises(EradioError, match="cpus"):
        Resources.parse({"cpus": 0}, "test")
