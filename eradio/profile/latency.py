"""How long single calls take: p50, p90 and p99 at batch 1, each with an interval that assumes no distribution."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from eradio.description import Description
from eradio.interval import Interval
from eradio.profile.warming import Clock, Run, warm_up

_FEWEST_CALLS = 64
"""Enough for p90's interval; a network so slow that this exceeds the longest time still makes them."""

_WARM_UP_SHARE = 0.1


class Latency(Description):
    """Quantiles of the elapsed milliseconds of single calls."""

    p50: Interval
    p90: Interval
    p99: Interval | None
    """None where there were too few calls for an interval; see `missing`."""
    calls: int
    seconds: float
    """Elapsed seconds of measuring, without warm-up."""

    def missing(self) -> str | None:
        """Why there is no p99, as a sentence; None where there is one."""
        if self.p99 is not None:
            return None
        return f"p99 takes at least {fewest_calls(0.99)} calls for a 95 % interval; there was time for {self.calls}."


def latency(
    run: Run, *, clock: Clock, watch: Callable[[float], None] | None = None, min_calls: int, max_seconds: float
) -> Latency:
    """Time single calls, each waited for, until there are `min_calls` or `max_seconds` have passed.

    Args:
        run: calls of the network on one picture.
        clock: elapsed seconds; a caller who waits does not care whose fault it was.
        watch: told now and then which share is done, from 0 to 1.
        min_calls: calls to make if there is time; `mlperf_calls` says what MLPerf asks for.
        max_seconds: longest elapsed time, without a warm-up of at most a tenth of it.
    """
    warm_up([run], _WARM_UP_SHARE * max_seconds, 0.0, clock=clock, stopwatch=clock)
    times: list[float] = []
    start = clock()
    while len(times) < _FEWEST_CALLS or (len(times) < min_calls and clock() - start < max_seconds):
        before = clock()
        run(1)
        times.append(clock() - before)
        if watch is not None and len(times) % _FEWEST_CALLS == 0:
            watch(min(1.0, max(len(times) / min_calls, (clock() - start) / max_seconds)))
    milliseconds = np.sort(np.array(times)) * 1e3
    p50, p90, p99 = (quantile_interval(milliseconds, quantile) for quantile in (0.5, 0.9, 0.99))
    assert p50 is not None  # the fewest calls are enough for it
    assert p90 is not None
    return Latency(p50=p50, p90=p90, p99=p99, calls=len(times), seconds=clock() - start)


def quantile_interval(ascending: NDArray[np.float64], quantile: float) -> Interval | None:
    """A quantile with its distribution-free 95 % interval: two order statistics (David and Nagaraja, 2003, 7.1).

    How many of n independent values lie below the true quantile is binomial whatever their distribution. Calls in a
    row are not quite independent, so a machine that drifts spreads them more than the interval knows.

    Args:
        ascending: [n] sorted values.
        quantile: between 0 and 1.

    Returns:
        None where n values are too few for either end.
    """
    count = len(ascending)
    below = binomial_cumulative(count, quantile)
    low, high = int(np.searchsorted(below, 0.025, side="right")), int(np.searchsorted(below, 0.975)) + 1
    if low < 1 or high > count:
        return None
    value = ascending[max(0, math.ceil(quantile * count) - 1)]
    return Interval(value=float(value), low=float(ascending[low - 1]), high=float(ascending[high - 1]))


def binomial_cumulative(count: int, chance: float) -> NDArray[np.float64]:
    """The chance of at most k successes among `count`, for k from 0 to `count`: [count + 1]."""
    k = np.arange(count)
    odds = math.log(chance) - math.log1p(-chance)
    steps = np.log(count - k) - np.log(k + 1) + odds
    logs = count * math.log1p(-chance) + np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(np.minimum(np.cumsum(np.exp(logs)), 1.0))


def fewest_calls(quantile: float) -> int:
    """Calls without which an upper quantile has no 95 % interval: all of fewer may lie below it by chance."""
    return math.ceil(math.log(0.025) / math.log(quantile))


def mlperf_calls(quantile: float) -> int:
    """Calls that MLPerf asks for: 24,576 for p90, 270,336 for p99.

    So many that the share of calls above the quantile is known to a twentieth of itself with 99 % confidence, rounded
    up to a multiple of 8,192 (mlcommons/inference_policies, inference_rules.adoc, "Number of queries").
    """
    margin = (1 - quantile) / 20
    needed = NormalDist().inv_cdf(0.995) ** 2 * quantile * (1 - quantile) / margin**2
    return math.ceil(needed / 8192) * 8192
