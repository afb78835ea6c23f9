"""What a study found, in sentences that never rank two intervals that overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from eradio.analysis.numbers import between, counted, number, plus_minus
from eradio.analysis.points import Point, front_of, points
from eradio.front import hypervolume
from eradio.interval import Interval
from eradio.study.records import StudyRecords

MARGIN = 0.1
"""How far behind the worst point the reference stands, in parts of the fronts' range."""


@dataclass(frozen=True)
class Reference:
    """The worst corner from which hypervolumes are counted."""

    throughput: float
    loss: float


def reference_of(some: Sequence[Point]) -> Reference:
    """A tenth of the range worse than the worst of the points, in either objective.

    A reference a little behind the worst point lets the ends of a front count; see Ishibuchi et al., "How to
    specify a reference point in hypervolume calculation for fair performance comparison" (2018).

    Args:
        some: the points of all the fronts to be compared; at least one.
    """
    rates = [point.throughput.value for point in some]
    losses = [point.loss for point in some]
    fall = MARGIN * (max(rates) - min(rates) or max(rates))
    rise = MARGIN * (max(losses) - min(losses) or abs(max(losses)))
    return Reference(throughput=max(0.0, min(rates) - fall), loss=max(losses) + rise)


def area(some: Sequence[Point], reference: Reference) -> Interval:
    """Hypervolume in (images/s) x loss, for the middles and for the ends of all throughputs' intervals.

    Taking every throughput at its low end at once, then at its high end, gives a wider interval than
    independent errors would: a difference it shows is there.
    """
    low, value, high = (
        hypervolume(
            [(-getattr(point.throughput, end), point.loss) for point in some],
            (-reference.throughput, reference.loss),
        )
        for end in ("low", "value", "high")
    )
    return Interval(value=value, low=low, high=high)


def outcome(run: StudyRecords) -> list[str]:
    """The study's result in two or three sentences, whichever way it fell."""
    candidates, baselines = points(run, "candidate"), points(run, "baseline")
    if not candidates:
        failed = sum(trial.role == "candidate" and trial.state == "failed" for trial in run.trials)
        why = f" {counted(failed, 'candidate')} failed; the reasons are listed below." if failed else ""
        return [f"No candidate was both measured and trained, so there is no searched front.{why}"]
    if not baselines:
        alone = "No baseline was both measured and trained, so there is nothing to compare the front with."
        return [_extent(candidates), *_halted(run), alone]
    compared = [_volumes(candidates, baselines), _overtaken(candidates, baselines)]
    return [*compared, _extent(candidates), *_halted(run)]


def _halted(run: StudyRecords) -> list[str]:
    """How many candidates were not taught to the end, and what that saved."""
    trials = [one for one in run.trials if one.role == "candidate" and one.duplicate_of is None and one.score]
    halted = [one for one in trials if one.end == "halted"]
    broken = [one for one in trials if one.end == "infeasible"]
    found = []
    if halted:
        steps = sum(one.score.steps for one in trials if one.score)
        whole = max(one.score.steps for one in trials if one.score) * (len(trials) - len(broken))
        found.append(
            f"{counted(len(halted), 'more candidate')} {'was' if len(halted) == 1 else 'were'} halted at a rung, so "
            f"{steps:,} training steps were taken instead of {whole:,}."
        )
    if broken:
        keep = "does not keep" if len(broken) == 1 else "do not keep"
        found.append(f"{counted(len(broken), 'candidate')} {keep} the constraints and took no training.")
    inherited = sum(one.inherited is not None for one in trials)
    if inherited:
        found.append(
            f"{counted(inherited, 'candidate')} began with weights of a similar student, as the study asks, so the "
            "losses are not those of equal trainings."
        )
    return found


def _extent(candidates: list[Point]) -> str:
    edge = front_of(candidates)
    ahead = f"The search trained {counted(len(candidates), 'distinct network')}"
    if len(edge) == 1:
        point = edge[0]
        return (
            f"{ahead}; its front is one of them, {point.label}, with {plus_minus(point.throughput)} images/s "
            f"and a validation loss of {number(point.loss, 4)}."
        )
    slowest, fastest = edge[-1], edge[0]
    return (
        f"{ahead}; {len(edge)} of them form its front, from {number(slowest.throughput.value)} images/s with "
        f"a validation loss of {number(slowest.loss, 4)} to {number(fastest.throughput.value)} images/s with "
        f"one of {number(fastest.loss, 4)}."
    )


def _volumes(candidates: list[Point], baselines: list[Point]) -> str:
    reference = reference_of([*front_of(candidates), *front_of(baselines)])
    ours, theirs = area(candidates, reference), area(baselines, reference)
    if ours.overlaps(theirs):
        claim = "Neither the searched front nor the baselines' is larger beyond the intervals"
    elif ours.value > theirs.value:
        claim = f"The searched front is larger than the baselines'{_times(ours, theirs)}"
    else:
        claim = f"The baselines' front is larger than the searched one{_times(theirs, ours)}"
    return (
        f"{claim}. The searched front's hypervolume is {between(ours)}, the baselines' {between(theirs)}, in "
        f"images/s × loss from the reference point of {number(reference.throughput)} images/s and a loss of "
        f"{number(reference.loss, 4)}. The intervals are those of the throughputs; the losses are of one seed."
    )


def _times(larger: Interval, smaller: Interval) -> str:
    return f" by a factor of {number(larger.value / smaller.value)}" if smaller.value > 0 else ""


def _overtaken(candidates: list[Point], baselines: list[Point]) -> str:
    ours, theirs = front_of(candidates), front_of(baselines)
    lost = sum(any(point.ahead_of(other) for point in candidates) for other in theirs)
    won = sum(any(point.ahead_of(other) for point in baselines) for other in ours)
    return (
        f"Some candidate is faster, beyond both intervals, with no higher loss than {lost} of the "
        f"{counted(len(theirs), 'network')} on the baselines' front; some baseline is so beside {won} of the "
        f"{counted(len(ours), 'network')} on the searched front."
    )
