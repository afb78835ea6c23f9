"""Trials whose workers are gone: ended, and put in line again where that can help.

Failing a trial is the storage's guarded step, so it happens once. Putting the next attempt in line is not, and is made
up for by whoever sees that it is missing; should two do so at once, the earlier one counts and the other is ended when
it is taken.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from eradio.study.ends import End
from eradio.study.lease import Lease, Watch
from eradio.study.trials import (
    ALONE,
    ATTEMPT,
    CROWDED,
    DIGEST,
    END,
    JOB,
    ORIGIN,
    REASON,
    STEPS,
    THROUGHPUT,
    WORDS,
    EndedError,
    attempt,
    fixed,
    lease,
    note,
    origin,
    to_be_retried,
)

REST_SECONDS = 60.0
"""Until what lacked memory, perhaps for what others held, is tried again."""

_HANDED_DOWN = (JOB, STEPS, ALONE, DIGEST, WORDS, THROUGHPUT)


def recover(studies: Iterable[Study], watch: Watch, own: Collection[tuple[str, int]], me: Lease) -> None:
    """Look once at all running trials; end those that are held by nobody, and put in line what is to be tried again.

    Args:
        studies: whose trials are looked at.
        watch: of this observer.
        own: trials that the caller works on, by study and number; another one with its name is one that it lost track
            of, when a storage did not answer.
        me: a lease with the caller's name.
    """
    running: dict[tuple[str, int], tuple[Study, FrozenTrial]] = {}
    for study in studies:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            running[study.study_name, trial.number] = study, trial
    leases = {key: lease(trial) for key, (_, trial) in running.items() if key not in own}
    dropped = {key for key, one in leases.items() if one is not None and one.owner == me.owner}
    for key in {*watch.run_out(leases.items()), *dropped}:
        study, trial = running[key]
        if key in dropped:  # which says nothing against its network, as a worker's death might
            fail(study, trial, "pre-empted", "the storage did not answer while its worker took it")
        else:
            fail(study, trial, "lost", _last_seen(leases[key]))
    for study in studies:
        for trial in to_be_retried(study.get_trials(deepcopy=False)):
            if not _rests(trial):
                put_in_line(study, trial)


def fail(study: Study, trial: FrozenTrial | Trial, end: End, reason: str) -> bool:
    """End a trial without values; False if it has ended meanwhile, which the storage decides."""
    try:
        note(study, trial, {END: end, REASON: reason})
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except (EndedError, UpdateFinishedTrialError):
        return False
    return True


def put_in_line(study: Study, trial: FrozenTrial) -> None:
    """Have a failed trial tried again: the same network, with what is known of it and was decided about it."""
    attributes = {key: value for key, value in trial.user_attrs.items() if _handed_down(key)}
    if trial.user_attrs.get(END) == "out-of-memory":
        attributes[ALONE] = True
    attributes |= {ORIGIN: origin(trial), ATTEMPT: attempt(trial) + 1}
    study.enqueue_trial(fixed(trial), user_attrs=attributes)


def _rests(trial: FrozenTrial) -> bool:
    """By two machines' clocks, so no longer than by a true one whatever they show."""
    if CROWDED not in trial.user_attrs or trial.datetime_complete is None:
        return False
    return timedelta(0) <= datetime.now() - trial.datetime_complete < timedelta(seconds=REST_SECONDS)


def _handed_down(key: str) -> bool:
    return key in _HANDED_DOWN or key.startswith(("loss_at_", "decision_at_"))


def _last_seen(last: Lease | None) -> str:
    if last is None:
        return "its worker was ended before it had put its name to it"
    return f"its worker {last.owner} gave no sign of life after step {last.step}"
