"""How a study stands, from its storage alone, so that any host can tell: workers, rungs, front, rates, what is left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from eradio.front import front
from eradio.study.budget import device_hours, out_of_time, places, spent
from eradio.study.config import StudyConfig
from eradio.study.holding import Kind
from eradio.study.telling import HALTED
from eradio.study.trials import (
    END,
    JOB,
    WORDS,
    attempt,
    constraints,
    decision,
    is_duplicate,
    is_feasible,
    lease,
    loss_key,
    origin,
    throughputs,
    to_be_retried,
    waits_again,
)

_RECENT = timedelta(hours=1)


@dataclass(frozen=True)
class Worker:
    """A trial under way and who works on it.

    Attributes:
        name: host and process; `(gone)` if it ran on this machine, and does no more.
        trial: what the trial is for: `#3` for a candidate, `baseline 3`, or a finalist's folder.
        attempt: 1 for the first.
        step: training steps done.
        since: when this attempt was begun.
    """

    name: str
    trial: str
    attempt: int
    step: int
    since: datetime | None


@dataclass(frozen=True)
class Rung:
    """A rung and what became of those that reached it: `going` have gone on, or, at the last one, are complete."""

    steps: int
    reached: int
    going: int


@dataclass(frozen=True)
class FrontPoint:
    """A network of the front: loss, images per second, words."""

    trial: int
    loss: float
    throughput: float
    words: str


@dataclass(frozen=True)
class Others:
    """Baselines or finalists: how many of those that are known so far have ended."""

    name: str
    ended: int
    known: int


@dataclass(frozen=True)
class Standing:
    """Of a study, mostly of its candidates.

    Attributes:
        asked: how many candidates the study is to have.
        taken: how many are done, under way or in line again.
        ends: of candidates that have ended for good, and of duplicates.
        again: of attempts that were not their candidate's last.
        per_hour: candidates that ended within the last hour, or since the study was begun if that is later.
        left: about how long the rest takes at this rate; None if nothing tells.
        device_hours: measuring and teaching of all.
        finished: which part of the budget is used up, if one is.
        late: whether it is one that binds baselines and finalists too.
        stop: what workers were asked to do, if anything.
    """

    asked: int
    taken: int
    ends: Counter[str]
    again: Counter[str]
    workers: tuple[Worker, ...]
    others: tuple[Others, ...]
    rungs: tuple[Rung, ...]
    fronts: tuple[tuple[FrontPoint, ...], ...]
    per_hour: float | None
    left: timedelta | None
    device_hours: float
    finished: str | None
    late: bool
    stop: str | None


def standing(
    config: StudyConfig,
    studies: Mapping[Kind, Sequence[FrozenTrial]],
    began: float,
    now: datetime,
    stop: str | None = None,
) -> Standing:
    """Read it off the trials.

    Args:
        config: of the study.
        studies: the trials of each kind, by number.
        began: when the study was begun, in seconds of the system's clock.
        now: the time, by the clock that the trials' times are of.
        stop: what workers were asked to do.
    """
    trials = studies["candidate"]
    distinct = [trial for trial in trials if not is_duplicate(trial)]
    rate = _rate(distinct, datetime.fromtimestamp(began), now)
    taken = len(places(trials))
    running = sum(trial.state == TrialState.RUNNING for trial in distinct)
    finished = spent(config, studies, began)
    retried = {trial.number for trial in to_be_retried(trials)}
    again = len(retried) + sum(waits_again(trial) for trial in distinct)
    rest = running + (0 if finished else max(0, config.trials - taken) + again)
    last = {origin(trial): trial.number for trial in distinct}
    ended = [trial for trial in trials if trial.state.is_finished()]
    final = {trial.number for trial in ended if is_duplicate(trial) or last[origin(trial)] == trial.number} - retried
    return Standing(
        asked=config.trials,
        taken=taken,
        ends=Counter(_end(trial) for trial in ended if trial.number in final),
        again=Counter(_end(trial) for trial in ended if trial.number not in final),
        workers=tuple(
            _worker(kind, trial)
            for kind, some in studies.items()
            for trial in some
            if trial.state == TrialState.RUNNING and not is_duplicate(trial)
        ),
        others=tuple(_others(kind, some) for kind, some in studies.items() if kind != "candidate" and some),
        rungs=tuple(_rung(distinct, steps, steps == config.rungs[-1]) for steps in config.rungs),
        fronts=tuple(_front(distinct, number) for number in range(len(config.targets))),
        per_hour=rate,
        left=timedelta(hours=rest / rate) if rate else None,
        device_hours=device_hours(studies),
        finished=finished,
        late=out_of_time(config, studies, began) is not None,
        stop=stop,
    )


def _end(trial: FrozenTrial) -> str:
    """The state and what goes with it are the storage's own; a code alone may be of one who came too late."""
    code = str(trial.user_attrs.get(END, "failed"))
    if trial.state == TrialState.COMPLETE:
        if is_duplicate(trial):
            return "duplicate"
        broken = {name for name, value in constraints(trial).items() if value > 0}
        return "infeasible" if broken - {HALTED} else "halted" if broken else "complete"
    return "lost" if code in ("complete", "halted") else code


def _rate(trials: Sequence[FrozenTrial], began: datetime, now: datetime) -> float | None:
    since = max(began, now - _RECENT)
    hours = (now - since).total_seconds() / 3600
    ended = sum(
        trial.state == TrialState.COMPLETE and trial.datetime_complete is not None and trial.datetime_complete > since
        for trial in trials
    )
    return ended / hours if ended and hours > 0 else None


def _worker(kind: Kind, trial: FrozenTrial) -> Worker:
    held = lease(trial)
    name = "nobody yet" if held is None else f"{held.owner}{' (gone)' if held.owner.known_dead() else ''}"
    number = f"#{origin(trial)}" if kind == "candidate" else f"{kind} {trial.user_attrs.get(JOB, origin(trial))}"
    return Worker(name, number, attempt(trial), 0 if held is None else held.step, trial.datetime_start)


def _others(kind: Kind, trials: Sequence[FrozenTrial]) -> Others:
    """An attempt that was lost or handed back is no end, as long as there is another one."""
    known = {origin(trial): trial.state.is_finished() for trial in trials if not is_duplicate(trial)}
    return Others(f"{kind}s", sum(known.values()), len(known))


def _rung(trials: Sequence[FrozenTrial], steps: int, last: bool) -> Rung:
    if last:
        complete = sum(trial.state == TrialState.COMPLETE and _end(trial) == "complete" for trial in trials)
        return Rung(steps, complete, complete)
    judged = {origin(trial): decision(trial, steps) for trial in trials if loss_key(steps) in trial.user_attrs}
    return Rung(steps, len(judged), sum(one is not None and one.goes_on for one in judged.values()))


def _front(trials: Sequence[FrozenTrial], target: int) -> tuple[FrontPoint, ...]:
    """On one target, the fastest first."""
    found = []
    for trial in trials:
        speeds = throughputs(trial)
        if is_feasible(trial) and speeds is not None:
            found.append(FrontPoint(origin(trial), trial.values[0], speeds[target], trial.user_attrs.get(WORDS, "")))
    edge = front(np.array([(-point.throughput, point.loss) for point in found]).reshape(-1, 2))
    return tuple(found[index] for index in edge)
