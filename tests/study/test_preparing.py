"""What is settled once for a study."""

import json
from pathlib import Path

import pytest
from optuna.trial import FixedTrial
from rich.console import Console

from eradio.errors import EradioError
from eradio.search_space import SearchSpace, named
from eradio.study.config import StudyConfig
from eradio.study.preparing import prepare
from eradio.study.reading import read_study
from eradio.study.run import Run, open_run
from tests.analysis import made_up
from tests.services import Postgres

PLAIN = {
    "finalists": 0,
    "baselines": "none",
    "recipe": {"steps": 4, "partitions": [{"batch": 4}], "validation": 4},
    "target": {"engine": "eager", "batch": 1, "protocol": {"min_seconds": 0.02, "max_seconds": 0.04}},
}


def _prepared(folder: Path, **more: object) -> Run:
    run = open_run(folder, StudyConfig.parse({**PLAIN, **more}, "test"))
    prepare(run, Console(quiet=True))
    return run


def _waiting(run: Run) -> list[str]:
    """Digests of the networks that are tried first."""
    space = SearchSpace.named("tiny")
    given = [trial.system_attrs["fixed_params"] for trial in run.candidates()]
    return [space.suggest(FixedTrial(parameters)).digest() for parameters in given]


def test_an_earlier_study_s_front_is_tried_after_the_named_networks(tmp_path: Path) -> None:
    first = _prepared(tmp_path / "first", named=["e_radio_mini", "e_radio_mini_s"])
    for loss in (0.5, 0.9):  # the second is slower and worse
        claim = first.ledger.claim()
        network = claim.network.model_dump(mode="json")
        first.ledger.tell(claim, made_up.trial(claim.number, 1000.0 * (1 - loss), loss, network=network))
    assert [one.number for one in read_study(tmp_path / "first").front()] == [0]
    tried = {"named": ["e_radio_mini_s"], "earlier": [str(tmp_path / "first")]}
    second = _prepared(tmp_path / "second", **tried)
    assert _waiting(second) == [named("e_radio_mini_s").digest(), named("e_radio_mini").digest()]
    assert _waiting(_prepared(tmp_path / "second", **tried)) == _waiting(second)  # once


def test_an_earlier_study_that_has_nothing_to_give_is_a_sentence(tmp_path: Path) -> None:
    _prepared(tmp_path / "empty")
    with pytest.raises(EradioError, match="None of the 0 networks"):
        _prepared(tmp_path / "second", earlier=[str(tmp_path / "empty")])
    with pytest.raises(EradioError, match="is no run folder"):
        _prepared(tmp_path / "third", earlier=[str(tmp_path / "nothing")])


def test_an_earlier_study_is_reached_with_the_password_that_this_one_has(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERADIO_STORAGE", postgres.url(postgres.create_database()))
    first = _prepared(tmp_path / "first", name="first", named=["e_radio_mini_s"])
    claim = first.ledger.claim()
    first.ledger.tell(claim, made_up.trial(0, 500.0, 0.5, network=claim.network.model_dump(mode="json")))
    second = _prepared(tmp_path / "second", name="second", earlier=[str(tmp_path / "first")])
    assert _waiting(second) == [named("e_radio_mini_s").digest()]


def test_a_sampler_that_cannot_be_had_is_a_sentence_before_anything_is_paid_for(tmp_path: Path) -> None:
    with pytest.raises(EradioError, match="hub:samplers/none"):
        _prepared(tmp_path / "run", sampler="hub:samplers/none")
    assert not (tmp_path / "run" / "canary.json").exists()


def test_candidates_share_targets_where_a_cache_is_not_worth_it(tmp_path: Path) -> None:
    alone = _prepared(tmp_path / "alone", recipe={**PLAIN["recipe"], "targets": "live"})
    assert alone.cohort == 1
    together = _prepared(tmp_path / "together", recipe={**PLAIN["recipe"], "targets": "shared"}, cohort=4)
    assert together.cohort == 4
    assert json.loads((tmp_path / "together" / "targets.json").read_text())["kind"] == "shared"
    assert _prepared(tmp_path / "cached", cohort=4).cohort == 1


def test_a_folder_is_never_taken_for_another_study_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _prepared(tmp_path / "run")
    assert run.ledger.claim() is not None
    with pytest.raises(EradioError, match="has another run folder"):
        _prepared(tmp_path / "other", storage=f"sqlite:///{tmp_path / 'run' / 'study.db'}")
    monkeypatch.setenv("ERADIO_STORAGE", f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(EradioError, match="belongs to another study"):
        _prepared(tmp_path / "run")


def test_an_earlier_study_is_read_where_it_is_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _prepared(tmp_path / "first", named=["e_radio_mini"])
    claim = first.ledger.claim()
    first.ledger.tell(claim, made_up.trial(claim.number, network=claim.network.model_dump(mode="json")))
    monkeypatch.setenv("ERADIO_STORAGE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    second = _prepared(tmp_path / "second", earlier=[str(tmp_path / "first")])
    assert _waiting(second) == [named("e_radio_mini").digest()]
    (tmp_path / "first").rename(tmp_path / "gone")
    assert _waiting(_prepared(tmp_path / "second", earlier=[str(tmp_path / "first")])) == _waiting(second)
