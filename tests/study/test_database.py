"""Trials that are read at once are those that Optuna reads one by one."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from eradio.search_space import SearchSpace
from eradio.study import database
from eradio.study.storage import open_database
from tests.study.storages import fresh

SPACE = SearchSpace.named("tiny")


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> database.Database:
    with fresh(request.param, tmp_path, request) as address:
        yield open_database(address)


@pytest.fixture
def study(storage: database.Database, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """With trials of all kinds; three pages of them."""
    monkeypatch.setattr(database, "_AT_ONCE", 4)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    one = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    for number in range(9):
        trial = one.ask()
        SPACE.suggest(trial)
        trial.suggest_float("rate", 1e-5, 1.0, log=True)
        trial.set_user_attr("words", "ünï")
        trial.set_user_attr("lease", {"beat": number})
        trial.set_constraint("halted", number - 3.5)
        one.tell(trial, [float("inf") if number == 2 else 0.5, -float("inf")])
    one.tell(one.ask(), state=TrialState.FAIL)
    one.enqueue_trial({"rate": 0.5}, user_attrs={"retry_of": 1})
    one.ask(), one.ask()
    between = {1: 0.5, 7: float("inf"), 3: float("nan")}
    ranges = {"rate": FloatDistribution(1e-5, 1.0, log=True)}
    one.add_trial(create_trial(values=[1, 2], params={"rate": 0.25}, distributions=ranges, intermediate_values=between))
    one.enqueue_trial({})
    other = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    other.tell(other.ask(), [0.0, 0.0])
    return one


def shown(trials: list[FrozenTrial]) -> list[str]:
    """As text, in which what is not a number is like itself; what a database gives in no order is sorted."""
    unordered = ("_user_attrs", "_system_attrs", "intermediate_values")
    plain = [vars(trial) | {key: sorted(vars(trial)[key].items()) for key in unordered} for trial in trials]
    return [repr(sorted(one.items())) for one in plain]


def optunas(study: optuna.Study, *asked: object) -> list[str]:
    return shown(RDBStorage._get_trials(study._storage._backend, study._study_id, *asked))


def ours(study: optuna.Study, *asked: object) -> list[str]:
    return shown(study._storage._backend._get_trials(study._study_id, *asked))


def test_all_trials_are_those_that_optuna_reads(study: optuna.Study) -> None:
    assert len(optunas(study, None, set(), -1)) == 14
    assert ours(study, None, set(), -1) == optunas(study, None, set(), -1)


def test_so_are_the_later_ones_and_some_of_the_earlier(study: optuna.Study) -> None:
    ids = [trial._trial_id for trial in study.get_trials(deepcopy=False)]
    for asked in ((set(ids[:6]), ids[9]), (set(ids), ids[2]), (set(), ids[-1]), ({ids[-1]}, ids[3])):
        assert ours(study, None, *asked) == optunas(study, None, *asked)


def test_so_are_those_of_some_states(study: optuna.Study) -> None:
    states = (TrialState.RUNNING, TrialState.WAITING)
    assert ours(study, states, set(), -1) == optunas(study, states, set(), -1)


def test_a_study_that_is_gone_is_refused_as_by_optuna(storage: database.Database) -> None:
    with pytest.raises(KeyError):
        storage._get_trials(99, None, set(), -1)
