"""What a study has spent, and whether it may begin another candidate."""

import time
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from eradio.front import hypervolume
from eradio.study.config import StudyConfig
from eradio.study.trials import SECONDS, is_duplicate, is_feasible, is_surplus, origin, to_be_retried, waits_again


def open_places(config: StudyConfig, trials: Sequence[FrozenTrial], began: float) -> int:
    """How many more candidates may be begun.

    Args:
        config: with the budget.
        trials: of the candidates' study.
        began: when the study was begun, in seconds of the system's clock.
    """
    if spent(config, trials, began) is not None:
        return 0
    return config.trials - len(places(trials))


def places(trials: Sequence[FrozenTrial]) -> set[int]:
    """The candidates that count, by number: measured and judged, or under way, or to be tried again."""
    taken = {origin(trial) for trial in trials if _counts(trial)}
    return taken | {origin(trial) for trial in to_be_retried(trials)}


def spent(config: StudyConfig, trials: Sequence[FrozenTrial], began: float) -> str | None:
    """Which part of the budget is used up, as a sentence; None if none is. Trials are counted elsewhere."""
    budget = config.budget
    if budget.hours is not None and time.time() - began >= budget.hours * 3600:
        return f"the {budget.hours:g} hours of the budget have gone by"
    if budget.device_hours is not None:
        used = sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials) / 3600
        if used >= budget.device_hours:
            return f"{used:.2f} device hours are used, of {budget.device_hours:g}"
    if budget.goal is not None:
        reached = reached_hypervolume(config, trials)
        if reached >= budget.goal.hypervolume:
            return f"the front's hypervolume is {reached:.4g}, and {budget.goal.hypervolume:g} was asked for"
    return None


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
