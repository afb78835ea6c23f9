"""What the undisturbed machine would have taken, told from a run that was disturbed most of the time.

A shared machine has states: while a neighbour uses the other half of a core, everything is slower by half, but a
convolution is not slowed down as an attention is, so the ratio itself is another (0.24 and 0.29 were seen of one
network). States change within milliseconds and last up to minutes, so most pairs of neighbouring blocks are neither
one nor the other, and their median is of no state at all.

Each network's own fastest blocks are those that nobody disturbed (after Chen and Revels, Robust benchmarking in noisy
environments, 2016, who take the minimum). All networks take turns in blocks of equal length, so each has its part of
the undisturbed moments. A network that is fast and slow by itself is taken for a fast one here.

Where the canary shows a single state there is nothing to choose, and pairs know more: they do not have the drift that
neighbours share, and their median has no bias if one network's noise is larger than the other's. So that is looked at
first. What slows every single block by a few per cent all the time is not seen by either.

The numbers below were chosen on recordings of a shared machine (in 10 minutes 85 % of all blocks were slow) and on the
simulated machines of `benchmarks/`, of other seeds than those that it prints.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from eradio.interval import Statistic, median

_FASTEST = 0.05
"""The share of blocks whose mean stands for the fastest, as the very fastest is luck."""

_FEWEST = 2

_BAND = (0.05, 0.10)
"""Logarithms of time so little above the fastest are of the same state: at least, and at most however noisy blocks are.
States were seen to lie 0.3 to 0.45 apart."""

_NOISY = 4.0
"""Between the two, this many deviations of a block's noise, so that its middle is the noise's middle too."""

_MOST, _STEADY, _SPREAD = 0.85, 0.06, 3.3
"""In a single state, this share of the canary's blocks is within so much of its fastest, and so many deviations of
their noise more; of normal noise it is 3.1."""

_QUIET = 0.25, 0.4506
"""The quantile of neighbours' differences that tells the noise, few of which a change of state enlarges, and what it is
of normal noise of deviation 1."""

SLOWEST = 1.08
"""How many times slower than usual a run's undisturbed canary may be."""

_SHORTEST = 1e-9
"""Seconds; a coarse clock may say none at all."""


def logarithms(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of seconds, however short."""
    return np.asarray(np.log(np.maximum(times, _SHORTEST)))


def band(logs: NDArray[np.float64]) -> float:
    """How far above its fastest a network's undisturbed blocks reach: [n] logarithms of seconds to a logarithm."""
    return float(np.clip(_NOISY * _noise(logs), *_BAND))


def undisturbed(logs: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """What one network takes on the undisturbed machine: the middle of those blocks that are as fast as the fastest.

    Args:
        logs: [r, n] logarithms of the seconds of one call in each block, n at least 2; each row is a run.
        width: its `band`.

    Returns:
        [r] logarithms of seconds.
    """
    ordered = np.sort(logs, axis=1)
    rows, last = np.arange(len(ordered)), _within(ordered, width).sum(axis=1) - 1
    return np.asarray((ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2)


def middle(times: NDArray[np.float64]) -> Statistic:
    """What takes a network's undisturbed time from logarithms, given [n] seconds of one call in each block."""
    return median if steady(times) else partial(undisturbed, width=band(logarithms(times)))


def undisturbed_seconds(times: NDArray[np.float64]) -> float:
    """What one call takes on the undisturbed machine, from [n] seconds of one call in each block."""
    return float(np.exp(middle(times)(logarithms(times)[None])[0]))


def share(times: NDArray[np.float64]) -> float:
    """Which part of a network's blocks is as fast as its fastest: [n] seconds to a share of 1."""
    logs = logarithms(times)
    return float(_within(np.sort(logs)[None], band(logs)).mean())


def steady(canary: NDArray[np.float64]) -> bool:
    """Whether a run saw a single state of the machine, from [n] seconds of one call in each block."""
    logs = logarithms(canary)
    reach = float(np.quantile(logs, _MOST)) - float(_fastest(np.sort(logs)[None])[0])
    return reach <= _STEADY + _SPREAD * _noise(logs)


def as_usual(canary: NDArray[np.float64], usual: float | None) -> bool:
    """Whether a run saw the undisturbed machine.

    Args:
        canary: [n] seconds of one call in each block.
        usual: the same on the undisturbed machine; None if that is not known.
    """
    return usual is None or undisturbed_seconds(canary) <= SLOWEST * usual


def _noise(logs: NDArray[np.float64]) -> float:
    """Deviation of a block's time in one state."""
    quantile, normal = _QUIET
    return float(np.quantile(np.abs(np.diff(logs)), quantile)) / normal


def _fastest(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    count = max(_FEWEST, round(_FASTEST * ordered.shape[1]))
    return np.asarray(ordered[:, :count].mean(axis=1))


def _within(ordered: NDArray[np.float64], width: float) -> NDArray[np.bool_]:
    return np.asarray(ordered <= (_fastest(ordered) + width)[:, None])
