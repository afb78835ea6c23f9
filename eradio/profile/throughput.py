"""The protocol: a candidate and a fixed reference network in turn, until the ratio is known well enough.

The machine's speed drifts by tens of per cent between seconds, whichever clock is read; two networks that
take turns in one process share that drift, so their ratio does not have it. Nothing here knows networks or
hardware: two clocks and two functions are all it sees.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eradio.interval import Interval, bootstrap_interval, median
from eradio.profile.target import Protocol

Clock = Callable[[], float]
Call = Callable[[], object]

_FEWEST_PAIRS = 16
"""Below this a bootstrap interval says nothing, so slow networks are measured for longer than asked."""

_WARM_UP_CHUNK = 3
_WARM_UP_TOLERANCE = 0.05


@dataclass(frozen=True)
class Pairs:
    """Seconds of each call, candidate and canary in turn; both [n]."""

    candidate: NDArray[np.float64]
    canary: NDArray[np.float64]

    def ratio(self) -> NDArray[np.float64]:
        """Throughput of the candidate relative to the canary's, pair by pair: [n]."""
        return self.canary / self.candidate


@dataclass(frozen=True)
class Reading:
    """What the protocol returns."""

    pairs: Pairs
    ratio: Interval
    settled: bool
    seconds: float


@dataclass
class _Alternation:
    """Calls in turn, and the seconds of each."""

    candidate: Call
    canary: Call
    stopwatch: Clock
    times: list[tuple[float, float]] = field(default_factory=list)

    def step(self) -> None:
        start = self.stopwatch()
        self.candidate()
        middle = self.stopwatch()
        self.canary()
        self.times.append((middle - start, self.stopwatch() - middle))

    def pairs(self) -> Pairs:
        table = np.asarray(self.times, dtype=np.float64)
        return Pairs(candidate=table[:, 0], canary=table[:, 1])


def compare(candidate: Call, canary: Call, protocol: Protocol, *, clock: Clock, stopwatch: Clock) -> Reading:
    """Measure the candidate's throughput relative to the canary's.

    Warm up; then call both in turn. At times set in advance the 95 % interval of the median ratio is
    computed; the first look at which its relative half-width is within the bound ends the measurement.
    Setting the looks in advance keeps the chance of stopping on a lucky streak small.

    Args:
        candidate: one call of the network on its batch.
        canary: one call of the reference network on a batch of the same shape.
        protocol: bounds in seconds, and the half-width asked for.
        clock: elapsed seconds, which the protocol's bounds are in.
        stopwatch: seconds that a call is charged; the clock itself, or processor time.
    """
    warm_up(candidate, canary, protocol.warm_up_seconds, clock=clock, stopwatch=stopwatch)
    run = _Alternation(candidate, canary, stopwatch)
    start = clock()
    ratio, settled = None, False
    for look in protocol.look_times():
        before = len(run.times)
        while clock() - start < look or len(run.times) < _FEWEST_PAIRS:
            run.step()
        if ratio is None or len(run.times) > before:
            ratio = median_interval(run.pairs().ratio())
            settled = ratio.half_width() <= protocol.half_width
        if settled:
            break
    assert ratio is not None  # a protocol has at least one look
    return Reading(pairs=run.pairs(), ratio=ratio, settled=settled, seconds=clock() - start)


def warm_up(candidate: Call, canary: Call, seconds: float, *, clock: Clock, stopwatch: Clock) -> None:
    """Call both in turn until neither gets faster any more, for at most `seconds` (and always once).

    Stationary means that the medians of two chunks in a row differ by less than 5 % for both.
    """
    run = _Alternation(candidate, canary, stopwatch)
    start = clock()
    run.step()
    while clock() - start < seconds:
        run.step()
        if len(run.times) >= 2 * _WARM_UP_CHUNK and len(run.times) % _WARM_UP_CHUNK == 0:
            recent = np.asarray(run.times[-2 * _WARM_UP_CHUNK :])
            earlier = np.median(recent[:_WARM_UP_CHUNK], axis=0)
            later = np.median(recent[_WARM_UP_CHUNK:], axis=0)
            if bool(np.all(np.abs(later - earlier) <= _WARM_UP_TOLERANCE * earlier)):
                return


def median_interval(samples: NDArray[np.float64]) -> Interval:
    """Median with its 95 % block-bootstrap interval.

    Neighbouring calls correlate, so blocks as long as the cube root of their number are drawn together.
    """
    return bootstrap_interval(samples, median, block=max(1, round(len(samples) ** (1 / 3))), resamples=400)
