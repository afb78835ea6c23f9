"""Optuna's own tools on our studies: nothing of ours is needed to look at them."""

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import pytest

from eradio.files import write_json
from eradio.search_space import SearchSpace
from eradio.study.address import Address
from eradio.study.config import StudyConfig
from eradio.study.ledger import Ledger
from eradio.study.storage import open_studies
from tests.analysis import made_up
from tests.services import free_port
from tests.study.storages import fresh, until

PROGRAMS = Path(sys.executable).parent


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path):
    with fresh(request.param, tmp_path, request) as address:
        candidates = open_studies(address, "s")["candidate"]
        for values in ([0.5, 100.0], [0.25, 50.0], [0.75, 75.0]):
            trial = candidates.ask()
            trial.suggest_categorical("width", [8, 16])
            candidates.tell(trial, values)
        candidates.ask()
        yield address


def _url(address: Address) -> str:
    return address.url.render_as_string(hide_password=False)


def _start(address: Address, verb: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [PROGRAMS / "optuna", verb, "--storage", _url(address), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _end(process: "subprocess.Popen[str]") -> str:
    output = process.communicate()[0]
    assert process.returncode == 0
    return output


def test_the_command_line_shows_studies_and_trials(address: Address) -> None:
    verbs = [("studies",), ("trials", "--study-name", "s"), ("best-trials", "--study-name", "s")]
    started = [_start(address, *verb, "--format", "json") for verb in verbs]
    studies, trials, best = (json.loads(_end(process)) for process in started)
    assert {study["name"] for study in studies} == {"s", "s-baselines", "s-finalists"}
    assert {tuple(study["direction"]) for study in studies} == {("MINIMIZE", "MAXIMIZE")}
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 3 + ["RUNNING"]
    assert sorted(trial["number"] for trial in best) == [0, 1]


def test_a_notebook_opens_them(address: Address) -> None:
    study = optuna.load_study(study_name="s", storage=_url(address))
    assert sorted(trial.number for trial in study.best_trials) == [0, 1]
    assert study.metric_names == ["validation distillation loss", "images per second"]
    assert len(study.trials_dataframe()) == 4


def test_a_study_made_by_the_command_line_is_taken_over(address: Address) -> None:
    _end(_start(address, "create-study", "--study-name", "made", "--directions", "minimize", "maximize"))
    candidates = open_studies(address, "made")["candidate"]
    candidates.tell(candidates.ask(), [0.5, 100.0])
    (trial,) = optuna.load_study(study_name="made", storage=_url(address)).trials
    assert trial.values == [0.5, 100.0]


@contextmanager
def _dashboard(address: Address, *more: str | Path):
    port = free_port()
    command = [PROGRAMS / "optuna-dashboard", _url(address), "--host", "127.0.0.1", "--port", str(port), *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answer(path: str):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as page:
            return json.load(page)

    def up() -> bool:
        assert process.poll() is None
        with suppress(OSError):
            answer("/api/studies")
            return True
        return False

    try:
        until(up)
        yield answer
    finally:
        process.kill()
        process.wait()


def test_the_dashboard_shows_them(address: Address) -> None:
    with _dashboard(address) as answer:
        studies = {study["study_name"]: study for study in answer("/api/studies")["study_summaries"]}
        assert studies.keys() == {"s", "s-baselines", "s-finalists"}
        detail = answer(f"/api/studies/{studies['s']['study_id']}?after=0")
    assert [trial["state"] for trial in detail["trials"]] == ["Complete"] * 3 + ["Running"]
    assert detail["objective_names"] == ["validation distillation loss", "images per second"]


def test_the_dashboard_shows_constraints_attributes_and_artifacts(address: Address, tmp_path: Path) -> None:
    study = open_studies(address, "ledger")["candidate"]
    config = StudyConfig.parse({"halving": {"rungs": [30], "reduction": 3}}, "test")
    ledger = Ledger(tmp_path, config, SearchSpace.named("tiny"), open_studies(address, "ledger"), [])
    claim = ledger.claim()
    assert claim is not None
    score = made_up.scored(0.5, steps=30)
    record = made_up.trial(0, state="halted", end="halted", reason="place 4 of 6 after 30 steps", score=score)
    write_json(claim.folder / "architecture.json", {"stem": {"width": 8}})
    ledger.tell(claim, record)
    with _dashboard(address, "--artifact-dir", tmp_path / "artifacts") as answer:
        (own,) = [one for one in answer("/api/studies")["study_summaries"] if one["study_name"] == "ledger"]
        (trial,) = answer(f"/api/studies/{own['study_id']}?after=0")["trials"]
    assert trial["constraints"] == [1.0]
    shown = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
    assert shown["constraint_halted"] == "1.0"
    assert "place 4 of 6" in shown["reason"]
    assert {file["filename"] for file in trial["artifacts"]} == {"architecture.json", "record.json"}
    assert {parameter["name"] for parameter in trial["params"]} >= {"width", "stage0_kind"}
    assert study.best_trials == []
