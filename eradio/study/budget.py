"""What a study has spent, and what it may still begin."""

import time
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from eradio.front import hypervolume
from eradio.study.config import StudyConfig
from eradio.study.holding import Kind
from eradio.study.trials import SECONDS, is_duplicate, is_feasible, is_surplus, origin, to_be_retried, waits_again

Trials = Mapping[Kind, Sequence[FrozenTrial]]


def open_places(config: StudyConfig, trials: Trials, began: float) -> int:
    """How many more candidates may be begun.

    Args:
        config: with the budget.
        trials: of the study.
        began: when the study was begun, in seconds of the system's clock.
    """
    return 0 if spent(config, trials, began) is not None else room(config, trials)


def room(config: StudyConfig, trials: Trials) -> int:
    """How many candidates are asked for beyond those that have a place."""
    return config.trials - len(places(trials["candidate"]))


def places(trials: Sequence[FrozenTrial]) -> set[int]:
    """The candidates that count, by number: measured and judged, or under way, or to be tried again."""
    taken = {origin(trial) for trial in trials if _counts(trial)}
    return taken | {origin(trial) for trial in to_be_retried(trials)}


def spent(config: StudyConfig, trials: Trials, began: float) -> str | None:
    """Why no candidate may be begun any more, as a sentence; None if one may. Trials are counted elsewhere."""
    late = out_of_time(config, trials, began)
    if late is not None or config.budget.goal is None:
        return late
    reached, asked = reached_hypervolume(config, trials["candidate"]), config.budget.goal.hypervolume
    if reached < asked:
        return None
    return f"the front's hypervolume is {reached:.4g}, and {asked:g} was asked for"


def out_of_time(config: StudyConfig, trials: Trials, began: float) -> str | None:
    """Why nothing may be begun any more, no baseline and no finalist either, as a sentence; None if something may."""
    budget = config.budget
    if budget.hours is not None and time.time() - began >= budget.hours * 3600:
        return f"the {budget.hours:g} hours of the budget have gone by"
    if budget.device_hours is not None and (used := device_hours(trials)) >= budget.device_hours:
        return f"{used:.2f} device hours are used, of {budget.device_hours:g}"
    return None


def device_hours(trials: Trials) -> float:
    """What was spent on measuring and teaching, by all workers together."""
    seconds: float = sum(trial.user_attrs.get(SECONDS, 0.0) for some in trials.values() for trial in some)
    return seconds / 3600


def reached_hypervolume(config: StudyConfig, trials: Sequence[FrozenTrial]) -> float:
    """Of the candidates that were taught to the end and keep the constraints, from the goal's reference point."""
    goal = config.budget.goal
    if goal is None:
        return 0.0
    points = [(trial.values[0], -trial.values[1]) for trial in trials if is_feasible(trial)]
    return hypervolume(points, (goal.loss, -goal.throughput))


def _counts(trial: FrozenTrial) -> bool:
    if is_duplicate(trial) or is_surplus(trial):
        return False
    return trial.state in (TrialState.COMPLETE, TrialState.RUNNING) or waits_again(trial)
