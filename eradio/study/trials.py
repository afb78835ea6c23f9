"""What stands in a trial of a study: our attributes, under names that Optuna's own tools show, and how they are read.

A candidate may take several trials, since one whose worker was lost is failed and tried again in another. The number of
the first of them, the origin, is the candidate's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from eradio.study.ends import MOST_LOST, worth_another
from eradio.study.halving import Decision
from eradio.study.lease import Lease

DIGEST, WORDS, LEASE, REASON, SECONDS = "digest", "words", "lease", "reason", "seconds"
END, DUPLICATE, ORIGIN, ATTEMPT = "end", "duplicate_of", "retry_of", "attempt"
THROUGHPUT, COHORT, ALONE, CROWDED = "images_per_second", "cohort", "alone", "crowded"
JOB, STEPS = "job", "steps"


class EndedError(Exception):
    """The trial is not ours any more: it has ended, since its worker gave no sign of life for too long."""


UNDER_WAY = (TrialState.RUNNING, TrialState.WAITING)


def loss_key(steps: int) -> str:
    """Under which the loss at a rung stands."""
    return f"loss_at_{steps}"


def decision_key(steps: int) -> str:
    """Under which stands what was decided at a rung."""
    return f"decision_at_{steps}"


def origin(trial: FrozenTrial) -> int:
    """Number of the candidate's first trial."""
    return int(trial.user_attrs.get(ORIGIN, trial.number))


def attempt(trial: FrozenTrial) -> int:
    """1 for the first."""
    return int(trial.user_attrs.get(ATTEMPT, 1))


def lease(trial: FrozenTrial) -> Lease | None:
    """Who works on it; None if nobody has said so yet."""
    found = trial.user_attrs.get(LEASE)
    return None if found is None else Lease.model_validate(found)


def decision(trial: FrozenTrial, steps: int) -> Decision | None:
    """What was decided at a rung."""
    found = trial.user_attrs.get(decision_key(steps))
    return None if found is None else Decision.model_validate(found)


def throughputs(trial: FrozenTrial) -> list[float] | None:
    """Images per second on each target of the study; None if it has not been measured."""
    found = trial.user_attrs.get(THROUGHPUT)
    return None if found is None else list(found) if isinstance(found, list) else [found]


def is_duplicate(trial: FrozenTrial) -> bool:
    """Whether another trial has its network."""
    return DUPLICATE in trial.user_attrs


def constraints(trial: FrozenTrial) -> dict[str, float]:
    """What it is to keep up to 0, by name; without those that stand there once more for the dashboard."""
    return {name: value for name, value in trial.constraints.items() if not name.isdigit()}


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether it is complete and keeps all constraints: taught to the end, and what a user asked for."""
    return trial.state == TrialState.COMPLETE and all(value <= 0 for value in trial.constraints.values())


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether it was drawn for a place that another worker had filled."""
    return trial.state == TrialState.FAIL and trial.user_attrs.get(END) == "surplus"


def waits_again(trial: FrozenTrial) -> bool:
    """Whether it is the next attempt of a trial that somebody could not go on with."""
    return trial.state == TrialState.WAITING and attempt(trial) > 1


def successors(trials: Iterable[FrozenTrial]) -> dict[tuple[int, int], FrozenTrial]:
    """The trial of each later attempt by origin and attempt; of several, which two workers put in line, the first."""
    found: dict[tuple[int, int], FrozenTrial] = {}
    for trial in trials:
        if ORIGIN in trial.user_attrs:
            found.setdefault((origin(trial), attempt(trial)), trial)
    return found


def to_be_begun(trials: Sequence[FrozenTrial]) -> bool:
    """Whether one of them waits, or is to be tried again."""
    return any(trial.state == TrialState.WAITING for trial in trials) or bool(to_be_retried(trials))


def to_be_retried(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Failed trials that are worth another attempt, and have none in line yet."""
    every = list(trials)
    later = successors(every)
    lost: dict[int, int] = {}
    farthest: dict[int, tuple[int, int]] = {}
    found = []
    for trial in every:
        if trial.state != TrialState.FAIL or is_duplicate(trial):
            continue
        own = origin(trial)
        if trial.number != own and later[own, attempt(trial)].number != trial.number:
            continue
        end = trial.user_attrs.get(END)
        held = trial.user_attrs.get(LEASE, {})
        since = held.get("rung", 0), held.get("since", 0)
        if since > farthest.get(own, (0, 0)):
            farthest[own], lost[own] = since, 0
        if end not in ("pre-empted", "out-of-memory"):
            lost[own] = lost.get(own, 0) + 1
        again = for_others_sake(every, trial, end) or worth_another(end, lost.get(own, 0))
        if again and (own, attempt(trial) + 1) not in later:
            found.append(trial)
    return found


def for_others_sake(trials: Iterable[FrozenTrial], trial: FrozenTrial, end: str | None) -> bool:
    """Whether a trial that fails so may do so for what others hold, and another attempt at it may not.

    The others are the members of its cohort, or other processes of its machine, which are waited for so often.

    Args:
        trials: of the study.
        trial: one of them, that fails.
        end: its code.
    """
    if CROWDED in trial.user_attrs:
        return sum(CROWDED in one.user_attrs for one in trials if origin(one) == origin(trial)) < MOST_LOST
    return end == "out-of-memory" and trial.user_attrs.get(COHORT, 1) > 1


def pop(study: Study, waiting: FrozenTrial) -> Trial | None:
    """Take a waiting trial; None if somebody else has taken it, which the storage decides."""
    try:
        if not study._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING):
            return None
    except UpdateFinishedTrialError:
        return None
    return opened(study, waiting)


def opened(study: Study, frozen: FrozenTrial) -> Trial:
    """A running trial to be gone on with."""
    return Trial(study, frozen._trial_id)


def note(study: Study, trial: FrozenTrial | Trial, attributes: Mapping[str, Any]) -> None:
    """Write attributes into a trial that has not ended.

    Raises:
        EndedError: it has.
    """
    try:
        for key, value in attributes.items():
            study._storage.set_trial_user_attr(trial._trial_id, key, value)
    except UpdateFinishedTrialError:
        raise EndedError from None


def frozen_at(study: Study, number: int) -> FrozenTrial:
    """The trial of a number as it stands now."""
    return study.get_trials(deepcopy=False)[number]


def fixed(trial: FrozenTrial) -> dict[str, object]:
    """The parameters that another attempt must have: all that were drawn, or were given when it was put in line."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


optuna.logging.disable_default_handler()
