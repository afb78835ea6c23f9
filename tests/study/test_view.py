"""A sampler that is shown the front and the latest trials."""

import optuna
import pytest
from optuna.trial import TrialState

from eradio.search_space import SearchSpace
from eradio.study.samplers import sampler
from eradio.study.view import BoundedStudy, Shown

SPACE = SearchSpace.named("tiny")


def study(values, running=(), halted=()):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    one = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler("random", 0))
    for number, pair in enumerate(values):
        trial = one.ask()
        trial.suggest_int("x", 0, 9)
        if number in halted:
            trial.set_constraint("halted", 1)
        if number not in running:
            one.tell(trial, pair)
    return one


def numbers(one, latest):
    return [trial.number for trial in Shown(latest).trials(one)]


def test_the_front_the_running_and_the_latest_are_shown():
    # The first dominates all; the fourth is better still, but halted.
    one = study([[1, 9], [2, 8], [2, 8], [0, 10], [3, 3], [4, 2], [5, 1]], running=[1], halted=[3])
    assert numbers(one, 2) == [0, 1, 5, 6]


def test_of_equal_trials_the_first_stands_for_all():
    assert numbers(study([[1, 9]] * 6 + [[2, 8]]), 1) == [0, 6]


def test_the_front_is_kept_up_to_date():
    one, shown = study([[3, 3], [2, 2], [9, 1]]), Shown(1)
    assert [trial.number for trial in shown.trials(one)] == [0, 1, 2]
    for pair in ([1, 3], [9, 1]):
        one.tell(one.ask(), pair)
    assert [trial.number for trial in shown.trials(one)] == [3, 4]
    other = study([[5, 5], [6, 4], [7, 3]])
    assert [trial.number for trial in shown.trials(other)] == [0, 2]


def test_a_view_is_a_study_of_fewer_trials():
    one = study([[1, 9], [2, 8], [3, 7]], running=[2])
    view = BoundedStudy(one, Shown(2).trials(one))
    assert view.directions == one.directions
    assert [trial.number for trial in view.get_trials(states=(TrialState.RUNNING,))] == [2]
    assert view.trials[0] == one.trials[0]
    assert view.trials[0] is not view.get_trials(deepcopy=False)[0]


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random"])
def test_below_the_bound_nothing_changes(kind):
    drawn = []
    for latest in (40, 10**6):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        one = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler(kind, 0, latest))
        for number in range(40):
            trial = one.ask()
            SPACE.suggest(trial)
            one.tell(trial, [float(number * 7 % 11), float(number * 5 % 13)])
        drawn.append([trial.params for trial in one.trials])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "nsga3"])
def test_a_sampler_goes_on_beyond_the_bound(kind):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    one = optuna.create_study(
        directions=["minimize", "maximize"], sampler=sampler(kind, 0, None if "n" in kind else 20)
    )
    for number in range(130):
        trial = one.ask()
        SPACE.suggest(trial)
        one.tell(trial, [float(number * 7 % 11), float(number * 5 % 13)])
    assert len(one.get_trials(states=(TrialState.COMPLETE,))) == 130
