"""The protocol: candidates and a fixed reference network in turn, until every ratio is known well enough.

The machine's speed drifts by tens of per cent between seconds, whichever clock is read; networks that take turns in
one process share that drift, so their ratio does not have it. Nothing here knows networks or hardware: two clocks and
some functions are all it sees.

A round is one block of calls of every candidate, each beside a block of the canary that takes as long: A c B c C c.
Rounds run forwards, backwards, backwards, forwards, and so on; two make one sample of each candidate, which is
A c ... c A and c A ... A c in turns. A shared canary block at the end (A B C c) would cost less, but stand as far from
A as the round is long. In a sample candidate and canary change places without changing anything: a drift that is
linear over it cancels, its curvature cancels from one sample to the next (near the fastest moments of a slow swing it
has one sign), and whatever strikes in proportion to time strikes both alike. The logarithm of the ratio is therefore
symmetric about the truth, which is the ratio of undisturbed calls, and its median has no bias however skewed the
disturbances are. Where whole calls cannot make blocks equal, one is up to half as long again as the other, and this
holds only nearly. Disturbances that slow two networks down unequally are another matter: see `undisturbed.py`.

Taking turns has a price of its own: caches are full of the other network, and first calls have been seen to take
5 to 14 % longer than those after them. A block of several calls therefore begins with one that is not timed; a call
that fills a block by itself is so long that the refill is a small part of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eradio.interval import Interval, median
from eradio.profile.series import series_interval
from eradio.profile.target import Protocol
from eradio.profile.undisturbed import as_usual, band, logarithms, share, steady, undisturbed
from eradio.profile.warming import Clock, Run, timed, warm_up

Watch = Callable[[float], None]

FEWEST_ROUNDS = 16
"""Below this an interval says nothing, so slow networks are measured for longer than asked."""

EARLY_LOOK = 1.1
"""Every look but the last widens its interval by this. Whoever stops at the first narrow interval stops more often at
one that is narrow by luck; the price is paid where the choice is made, about that of 96.5 % instead of 95 %."""

_FOLLOWS = 0.5
"""How much of a change of the canary's speed a ratio may follow: two networks' were seen to follow 0.15 and 0.41 of it
between states of a machine."""

_NORMAL = 1.96


@dataclass(frozen=True)
class Pairs:
    """Seconds of one call in each block, candidate and canary side by side; both [n], n even."""

    candidate: NDArray[np.float64]
    canary: NDArray[np.float64]
    calls: int
    """Calls in one block of the candidate."""
    canary_calls: int

    def log_ratio(self) -> NDArray[np.float64]:
        """Logarithm of the candidate's throughput over the canary's, two neighbouring blocks a sample: [n / 2]."""
        single = logarithms(self.canary) - logarithms(self.candidate)
        return np.asarray((single[0::2] + single[1::2]) / 2)

    def interval(self, widening: float = 1.0, scatter: float = 0.0) -> Interval:
        """The ratio on the undisturbed machine, with its 95 % interval.

        Args:
            widening: multiplies what this run leaves open, for whoever looks more than once.
            scatter: as `compare` takes it.
        """
        between_runs = _NORMAL * _FOLLOWS * scatter
        if steady(self.canary):
            return series_interval(self.log_ratio(), median, widening).with_error(between_runs).exponential()
        candidate, canary = logarithms(self.candidate), logarithms(self.canary)
        widths = band(candidate), band(canary)

        def ratio(samples: NDArray[np.float64]) -> NDArray[np.float64]:
            """[r, n, 4], two blocks of the candidate and two of the canary, to [r] logarithms."""
            blocks = [half.reshape(len(samples), -1) for half in (samples[:, :, :2], samples[:, :, 2:])]
            return undisturbed(blocks[1], widths[1]) - undisturbed(blocks[0], widths[0])

        both = np.concatenate([candidate.reshape(-1, 2), canary.reshape(-1, 2)], axis=1)
        return series_interval(both, ratio, widening).with_error(between_runs).exponential()

    def beside(self, other: "Pairs") -> "Pairs":
        """The candidate beside another one of the same run, in the place of the canary."""
        return Pairs(self.candidate, other.candidate, self.calls, other.calls)

    def share(self, usual: float | None) -> float:
        """Share of the canary's blocks that the ratio is taken from; 0 if they are not the undisturbed machine's."""
        if not as_usual(self.canary, usual):
            return 0.0
        return 1.0 if steady(self.canary) else share(self.canary)


@dataclass(frozen=True)
class Reading:
    """What the protocol returns of one candidate."""

    pairs: Pairs
    ratio: Interval
    """Throughput over the canary's, both undisturbed."""
    settled: bool
    """Whether the interval is as narrow as asked, and of the undisturbed machine."""
    undisturbed: float
    """Share of the canary's blocks that saw the machine undisturbed; 0 if none was as fast as usual."""
    seconds: float
    """Elapsed seconds of the whole run, without the warm-up."""
    calls: int
    """Calls of the candidate that were timed."""
    against_first: Interval | None = None
    """Throughput over that of the first candidate, both undisturbed; None for the first itself."""
    warm: bool = True
    """Whether all had become steady before anything was timed."""


@dataclass
class _Contest:
    """One candidate beside the canary: the sizes of their blocks, and the seconds of each so far."""

    candidate: Run
    canary: Run
    calls: int
    canary_calls: int
    times: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def sized(cls, candidate: Run, canary: Run, seconds: float, canary_seconds: float, block: float) -> "_Contest":
        """Blocks that take equally long, at least `block` seconds, given the seconds of a call of each."""
        calls = max(1, round(max(block, canary_seconds) / seconds))
        return cls(candidate, canary, calls, max(1, round(calls * seconds / canary_seconds)))

    def step(self, stopwatch: Clock, *, backwards: bool) -> None:
        if backwards:
            canary = timed(self.canary, self.canary_calls, stopwatch)
            candidate = timed(self.candidate, self.calls, stopwatch)
        else:
            candidate = timed(self.candidate, self.calls, stopwatch)
            canary = timed(self.canary, self.canary_calls, stopwatch)
        self.times.append((candidate, canary))

    def pairs(self) -> Pairs:
        table = np.asarray(self.times, dtype=np.float64)
        return Pairs(table[:, 0], table[:, 1], self.calls, self.canary_calls)


def compare(
    candidates: Sequence[Run],
    canary: Run,
    protocol: Protocol,
    *,
    clock: Clock,
    stopwatch: Clock,
    samples_a_call: int = 1,
    usual: float | None = None,
    scatter: float = 0.0,
    watch: Watch | None = None,
) -> tuple[Reading, ...]:
    """Measure every candidate's throughput relative to the canary's, all in one run.

    Warm up; then blocks in turn. At times set in advance the 95 % interval of each ratio is computed; the
    first look at which all relative half-widths are within the bound ends the run. See `EARLY_LOOK` for what the
    choice costs.

    Args:
        candidates: calls of each network on its batch.
        canary: calls of the reference network on a batch of the same shape.
        protocol: bounds in seconds a candidate, and the half-width asked for.
        clock: elapsed seconds, which the protocol's bounds are in.
        stopwatch: seconds that a call is charged; the clock itself, or processor time.
        samples_a_call: pictures in a batch, which count towards the protocol's `min_samples`.
        usual: seconds of one call of the canary on the undisturbed machine, where that is known from before.
        scatter: deviation of their logarithm from run to run.
        watch: told after every round which share of the longest time is gone, from 0 to 1.

    Returns:
        One reading a candidate, in their order.
    """
    count = len(candidates)
    warmth = warm_up(
        (*candidates, canary),
        count * protocol.warm_up_seconds,
        protocol.block_seconds,
        clock=clock,
        stopwatch=stopwatch,
    )
    *seconds, beside = warmth.seconds
    contests = [
        _Contest.sized(candidate, canary, taken, beside, protocol.block_seconds)
        for candidate, taken in zip(candidates, seconds, strict=True)
    ]
    per_round = min(contest.calls for contest in contests) * samples_a_call
    wanted = -(-protocol.min_samples // per_round)
    start, rounds = clock(), 0

    def left() -> float:
        return count * protocol.max_seconds - (clock() - start)

    looks: list[tuple[Interval, float]] = []
    for look in protocol.look_times():
        while clock() - start < count * look or rounds < FEWEST_ROUNDS or rounds % 2 or _few(rounds, wanted, left()):
            _round(contests, stopwatch, backwards=rounds % 4 in (1, 2))
            rounds += 1
            if watch is not None:
                watch(min(1.0, (clock() - start) / (count * protocol.max_seconds)))
        last = clock() - start >= count * protocol.max_seconds
        found = [contest.pairs() for contest in contests]
        looks = [(one.interval(1.0 if last else EARLY_LOOK, scatter), one.share(usual)) for one in found]
        if last or all(_settled(ratio, share, protocol) for ratio, share in looks):
            break
    elapsed, first = clock() - start, contests[0].pairs()
    return tuple(
        Reading(
            contest.pairs(),
            ratio,
            _settled(ratio, share, protocol),
            share,
            elapsed,
            rounds * contest.calls,
            None if contest is contests[0] else contest.pairs().beside(first).interval(scatter=scatter),
            warmth.steady,
        )
        for contest, (ratio, share) in zip(contests, looks, strict=True)
    )


def _few(rounds: int, wanted: int, left: float) -> bool:
    """Whether pictures are missing that there is time for."""
    return rounds < wanted and left > 0


def _settled(ratio: Interval, undisturbed_share: float, protocol: Protocol) -> bool:
    return ratio.half_width() <= protocol.half_width and undisturbed_share > 0


def _round(contests: Sequence[_Contest], stopwatch: Clock, *, backwards: bool) -> None:
    for contest in reversed(contests) if backwards else contests:
        contest.step(stopwatch, backwards=backwards)
