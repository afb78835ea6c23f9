"""Before anything counts: networks run in turn until none gets faster, and the calls of a block are found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Clock = Callable[[], float]
Run = Callable[[int], object]
"""That many calls in a row, finished when it returns."""

_CHUNK = 3
_TOLERANCE = 0.05
_SHORTEST = 1e-9
"""Seconds a call takes at least, so that a clock too coarse for it leaves a number to divide by."""


class Warmth(NamedTuple):
    """What a warm-up found."""

    seconds: tuple[float, ...]
    """Of one call, network by network."""
    steady: bool


@dataclass
class _Warm:
    run: Run
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    def block(self, seconds: float, stopwatch: Clock) -> None:
        taken = max(timed(self.run, self.calls, stopwatch), _SHORTEST)
        self.seconds.append(taken)
        if taken * self.calls < seconds:
            self.calls *= 2

    def stationary(self) -> bool:
        recent = self.seconds[-2 * _CHUNK :]
        earlier, later = np.median(recent[:_CHUNK]), np.median(recent[_CHUNK:])
        return bool(abs(later - earlier) <= _TOLERANCE * earlier)


def timed(run: Run, calls: int, stopwatch: Clock) -> float:
    """Seconds of one call in a block; a block of several begins with one more, untimed, that refills the caches."""
    if calls > 1:
        run(1)
    start = stopwatch()
    run(calls)
    return (stopwatch() - start) / calls


def warm_up(runs: Sequence[Run], seconds: float, block_seconds: float, *, clock: Clock, stopwatch: Clock) -> Warmth:
    """Run all in turn until none gets faster any more, for at most `seconds` (and always once).

    Stationary means that the medians of two chunks of three blocks in a row differ by less than 5 % for all. Blocks
    begin with one call and double until they take `block_seconds`, since a call among many queued ones can be
    far shorter than one that is waited for.

    Returns:
        Seconds of one call, network by network, and whether all were stationary.
    """
    warm = [_Warm(run) for run in runs]
    start = clock()
    while True:
        for one in warm:
            one.block(block_seconds, stopwatch)
        done = len(warm[0].seconds)
        whole = done >= 2 * _CHUNK and done % _CHUNK == 0
        steady = whole and all(one.stationary() for one in warm)
        if steady or clock() - start >= seconds:
            return Warmth(tuple(float(np.median(one.seconds[-_CHUNK:])) for one in warm), steady)
