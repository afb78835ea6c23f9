"""The whole chain on real pictures and on scenes, with real workers, in miniature."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import TrialState
from PIL import Image
from rich.console import Console

from eradio.analysis.report import write_report
from eradio.cli import run_command
from eradio.errors import EradioError
from eradio.manifest import environment
from eradio.study.config import StudyConfig
from eradio.study.finalists import choose
from eradio.study.reading import read_study
from eradio.study.run import open_run
from eradio.study.search import search
from tests.waiting import until

TINY = {
    "finalist_steps": 6,
    "recipe": {"steps": 4, "partitions": [{"batch": 4}], "validation": 6},
    "target": {
        "engine": "eager",
        "batch": 1,
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.05, "block_seconds": 0.002},
    },
}


def _pictures(folder: Path) -> Path:
    (folder / "nested").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(9):
        pixels = random.integers(0, 256, (50 + number, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("nested" if number % 2 else ".") / f"{number}.png")
    (folder / "fake.png").write_text("this is text")
    return folder


def _worker(run: Path) -> int:
    """Process number of the only worker."""
    return int(next(run.glob("workers/*.json")).stem.rpartition("-")[2])


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_study_of_a_folder_of_pictures_from_start_to_report(tmp_path: Path) -> None:
    data = {"kind": "folder", "path": str(_pictures(tmp_path / "pictures"))}
    recipe = {**TINY["recipe"], "data": data}
    config = StudyConfig.parse(
        {**TINY, "name": "folder", "recipe": recipe, "trials": 2, "finalists": 1, "baselines": "none"}, "test"
    )
    said = io.StringIO()
    run = tmp_path / "run"
    records = search(run, config, 2, Console(file=said, width=200))

    assert "fake.png" in said.getvalue()
    complete = [trial for trial in records.trials if trial.state == "complete"]
    assert len(complete) == 2
    assert len({trial.network_digest for trial in complete}) == 2
    for trial in complete:
        folder = run / "candidates" / f"{trial.number:04d}"
        for name in ("architecture.json", "measurement.json", "record.json", "student.safetensors"):
            assert (folder / name).exists(), name
        assert trial.score is not None
        assert trial.score.steps == 4
        assert trial.manifest["environment"]["libraries"]["torch"]
    # The unit is calibrated before the workers start, and all of them use it.
    assert len(json.loads((run / "canary.json").read_text())["references"]) == 1
    (finalist,) = records.finalists
    assert finalist.score.steps == 6
    assert finalist.comparisons == ()

    study = optuna.load_study(study_name="folder", storage=f"sqlite:///{run / 'study.db'}")
    assert study.metric_names == ["validation distillation loss", "images per second"]
    assert {tuple(trial.values) for trial in study.trials if trial.values} == {
        (trial.score.loss, trial.measurement.throughput.value)  # type: ignore[union-attr]
        for trial in complete
    }
    assert write_report(records, tmp_path / "report").exists()

    again = search(run, config, 1, Console(quiet=True))
    assert [trial.model_dump() for trial in again.trials] == [trial.model_dump() for trial in records.trials]


def test_finalists_of_scenes_are_compared_with_their_teachers(tmp_path: Path) -> None:
    config = StudyConfig.parse({**TINY, "trials": 1, "finalists": 1, "baselines": "none"}, "test")
    (finalist,) = search(tmp_path, config, 1, Console(quiet=True)).finalists
    metrics = {comparison.metric: comparison for comparison in finalist.comparisons}
    assert set(metrics) == {
        "clip zero-shot top-1",
        "dino k-NN top-1",
        "dino segmentation mIoU",
        "sam box-prompt mask IoU",
    }
    zero_shot = metrics["clip zero-shot top-1"]
    assert zero_shot.teacher.value > 0.6
    assert zero_shot.untrained.value < 0.1


def test_a_worker_that_is_killed_is_replaced_and_its_network_taught_again(tmp_path: Path) -> None:
    recipe = {**TINY["recipe"], "steps": 60, "targets": "live"}
    config = StudyConfig.parse({**TINY, "recipe": recipe, "trials": 1, "finalists": 0, "baselines": "none"}, "test")
    killed: list[int] = []

    def kill_once() -> None:
        while not killed:
            time.sleep(0.05)
            if (tmp_path / "candidates" / "0000" / "measurement.json").exists():
                killed.append(_worker(tmp_path))
                os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_once, daemon=True)
    killer.start()
    (trial,) = search(tmp_path, config, 1, Console(quiet=True)).trials
    killer.join(10)
    assert killed
    assert trial.state == "complete"
    assert trial.attempt == 2
    assert len(list(tmp_path.glob("workers/*.json"))) == 2


def test_a_search_that_is_stopped_ends_its_workers_and_goes_on(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(
        "{trials: 2, finalists: 0, baselines: none, "
        "recipe: {steps: 400, partitions: [{batch: 4}], validation: 4, targets: live}, "
        "target: {engine: eager, batch: 1, protocol: {min_seconds: 0.02, max_seconds: 0.05, block_seconds: 0.002}}}"
    )
    run = tmp_path / "run"
    command = [sys.executable, "-m", "eradio", "search", "--config", str(config), "--out", str(run), "--workers", "1"]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: list(run.glob("candidates/*/measurement.json")), 240)
    # A worker that is stopped as well, by a debugger or a Ctrl-Z, cannot end by itself.
    os.kill(_worker(run), signal.SIGSTOP)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == "eradio: Stopped. Run the same command again to go on."
    deadline = time.monotonic() + 10
    while _is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_alive(process.pid)
    assert read_study(run).trials == ()


def test_no_worker_outlives_its_search(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    recipe = {**TINY["recipe"], "steps": 400, "targets": "live"}
    config.write_text(yaml.safe_dump({**TINY, "recipe": recipe, "finalists": 0, "baselines": "none"}))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "eradio", "search", "--config", str(config), "--out", str(run), "--workers", "1"]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: list(run.glob("candidates/*/measurement.json")), 240)
    search.kill()
    search.wait()
    until(lambda: not Path("/proc", str(_worker(run))).exists(), 30)


def test_a_worker_s_error_is_the_search_s(tmp_path: Path) -> None:
    config = StudyConfig.parse({**TINY, "trials": 3, "finalists": 0, "baselines": "none", "space": "one.yaml"}, "test")
    with pytest.raises(EradioError, match=r"one\.yaml"):
        search(tmp_path, config, 1, Console(quiet=True))


def test_a_report_of_an_unfinished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = StudyConfig.parse({**TINY, "name": "young", "trials": 1, "baselines": "none"}, "test")
    open_run(tmp_path, config).begin({})
    assert run_command(["report", str(tmp_path)]) == 0
    assert "report.html" in capsys.readouterr().out


def test_a_mistake_leaves_no_run_folder_and_changed_pictures_stop_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = _pictures(tmp_path / "pictures")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**TINY, "trials": 1, "finalists": 0, "baselines": "none"}))
    command = ["search", "--config", "study.yaml", "--out", "run", "--workers", "1", "--data"]
    assert run_command([*command, "picturse"]) == 1
    assert not (tmp_path / "run" / "study.json").exists()
    assert run_command([*command, "pictures"]) == 0
    capsys.readouterr()

    with monkeypatch.context() as patch:
        other = {**environment(), "cpu": "another one"}
        patch.setattr("eradio.profile.record.environment", lambda: other)
        assert run_command([*command, "pictures"]) == 1
        assert "its machine and libraries changed" in capsys.readouterr().err

    Image.new("RGB", (8, 8)).save(pictures / "new.png")
    assert run_command([*command, "pictures"]) == 1
    said = capsys.readouterr().err
    assert "training data" in said
    assert "begin another study" in said


def test_a_larger_budget_chooses_and_trains_its_finalists_anew(tmp_path: Path) -> None:
    plain = {**TINY, "trials": 1, "finalists": 1, "baselines": "none"}
    first = search(tmp_path, StudyConfig.parse(plain, "test"), 1, Console(quiet=True))
    plain["finalist_steps"] = 9
    second = search(tmp_path, StudyConfig.parse({**plain, "trials": 3}, "test"), 1, Console(quiet=True))
    assert [finalist.score.steps for finalist in first.finalists] == [6]
    assert len(second.trials) >= 3
    (chosen,) = choose(second.trials, 1)
    trained = {f"{finalist.role}-{finalist.number:04d}": finalist.score.steps for finalist in second.finalists}
    assert trained[chosen] == 9


def test_a_search_whose_study_is_asked_to_end_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = StudyConfig.parse({**TINY, "trials": 1, "finalists": 0, "baselines": "none"}, "test")
    monkeypatch.setattr(
        "eradio.study.search._attend", lambda run, *_: run.studies["candidate"].set_user_attr("stop", "drain")
    )
    with pytest.raises(EradioError, match="asked to stop"):
        search(tmp_path, config, 1, Console(quiet=True))


def test_a_study_that_optuna_made_is_adopted_and_found_by_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = {**TINY, "finalists": 0, "baselines": "none", "sampler": "random"}
    Path("study.yaml").write_text(yaml.safe_dump(study))
    where = ["--storage", f"sqlite:///{tmp_path / 'made.db'}", "--study-name", "made"]
    files = ["--config", "study.yaml", "--out", "there"]
    for verb in ("status", "stop"):
        assert run_command([verb, "study.yaml", "--out", "there", *where]) == 1
        assert "There is no study 'made'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]

    create = [str(Path(sys.executable).parent / "optuna"), "create-study", *where]
    subprocess.run([*create, "--directions", "minimize", "maximize"], check=True, capture_output=True)
    assert run_command(["search", *files, *where, "--trials", "2", "--workers", "1"]) == 0
    assert run_command(["status", "study.yaml", "--out", "there", *where]) == 0
    assert run_command(["status", "there"]) == 0
    assert capsys.readouterr().out.count("candidates begun") == 2
    assert run_command(["stop", "study.yaml", "--out", "there", *where]) == 0
    assert run_command(["stop", "there", *where]) == 1
    assert "is a run folder, which knows its study" in capsys.readouterr().err
    monkeypatch.setenv("ERADIO_STORAGE", " ")
    assert run_command(["status", "study.yaml", "--out", "there", *where]) == 0
    monkeypatch.delenv("ERADIO_STORAGE")

    Path("study.yaml").write_text(yaml.safe_dump({**study, "trials": 3}))
    assert run_command(["launch", "local", *files, *where, "--workers", "1"]) == 0
    until(lambda: _complete("made", tmp_path) == 3, 120)
    worker = [sys.executable, "-m", "eradio", "worker", *files, *where]
    assert subprocess.run(worker, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == 0

    Path("made.db").unlink()
    assert run_command(["report", "there"]) == 1
    assert "There is no study 'made'" in capsys.readouterr().err
    assert not Path("made.db").exists()


def _complete(name: str, folder: Path) -> int:
    made = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'made.db'}")
    return sum(trial.state == TrialState.COMPLETE and not trial.user_attrs.get("duplicate_of") for trial in made.trials)
