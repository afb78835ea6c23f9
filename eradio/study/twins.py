"""Trials with one and the same network, of which one counts."""

from optuna.study import Study
from optuna.trial import Trial, TrialState

from eradio.search_space import Network
from eradio.study.recovery import fail
from eradio.study.telling import finish
from eradio.study.trials import DIGEST, DUPLICATE, END, STEPS, constraints, is_duplicate, note, origin


def yielded(study: Study, trial: Trial, network: Network, taught: bool = False) -> bool:
    """End a trial whose network another one has: with its values if it is complete, without if it is not.

    Of two that write down the same network at once, the later one may look before the earlier one has written; so
    all look again when they were measured, and when they were `taught`. One that has a result yields to none that
    failed.

    Args:
        study: of the trial.
        trial: running.
        network: that it stands for.
        taught: whether it has a result of its own.

    Raises:
        EndedError: it has ended meanwhile.
    """
    trials = study.get_trials(deepcopy=False)
    frozen = trials[trial.number]
    number, same = origin(frozen), (network.digest(), frozen.user_attrs.get(STEPS))
    for other in trials:
        if origin(other) == number or (other.user_attrs.get(DIGEST), other.user_attrs.get(STEPS)) != same:
            continue
        if is_duplicate(other) or other.state == TrialState.WAITING:
            continue
        if other.state == TrialState.RUNNING and origin(other) > number:
            continue
        if other.state == TrialState.FAIL and (taught or other.user_attrs.get(END) in ("lost", "pre-empted")):
            continue  # the latter's next attempt looks for itself, and may have yielded to this very trial
        note(study, trial, {DUPLICATE: origin(other)})
        if other.state == TrialState.COMPLETE:
            note(study, trial, {END: "duplicate"})
            finish(study, trial, other.values, constraints(other))
        else:
            fail(study, trial, "duplicate", f"the same network as trial {origin(other)}, which has not completed")
        return True
    return False
