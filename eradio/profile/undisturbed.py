"""What the undisturbed machine would have taken, told from a run that was disturbed most of the time.

A shared machine has states: while a neighbour uses the other half of a core, everything is slower by half, but a
convolution is not slowed down as an attention is, so the ratio itself is another (0.24 and 0.29 were seen of one
network). States change within milliseconds and last up to minutes, so most pairs of neighbouring blocks are neither
one nor the other, and their median is of no state at all.

Each network's own fastest blocks are those that nobody disturbed (after Chen and Revels, Robust benchmarking in noisy
environments, 2016, who take the minimum). As all networks take turns in blocks of equal length, what is left of the
disturbance in them is alike and cancels in their ratio.

Where the canary shows a single state there is nothing to choose, and pairs know more: they do not have the drift that
neighbours share, and their median has no bias if one network's noise is larger than the other's. So that is looked at
first.
"""

import numpy as np
from numpy.typing import NDArray

_FASTEST = 0.05
"""The share of blocks whose mean stands for the fastest, as the very fastest is luck."""

_FEWEST = 2

_BAND = 0.05
"""Logarithms of time so little above the fastest are of the same state."""

_STEADY = 0.06
"""In a single state three quarters of the canary's smoothed blocks are this near to its fastest, and by so many
deviations of their noise more:"""

_NOISE = 1.4

_WINDOW = 5
"""Blocks of the running median: a spike is no state."""

_USUAL = 1.08
"""How many times slower than usual a run's undisturbed canary may be."""

_SHORTEST = 1e-9
"""Seconds; a coarse clock may say none at all."""


def logarithms(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of seconds, however short."""
    return np.asarray(np.log(np.maximum(times, _SHORTEST)))


def undisturbed(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What one network takes on the undisturbed machine: the middle of those blocks that are as fast as the fastest.

    Args:
        logs: [r, n] logarithms of the seconds of one call in each block, n at least 2; each row is a run.

    Returns:
        [r] logarithms of seconds.
    """
    ordered = np.sort(logs, axis=1)
    rows, last = np.arange(len(ordered)), _within(ordered).sum(axis=1) - 1
    return np.asarray((ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2)


def share(times: NDArray[np.float64]) -> float:
    """Which part of a network's blocks is as fast as its fastest: [n] seconds to a share of 1."""
    return float(_within(np.sort(logarithms(times))[None]).mean())


def steady(canary: NDArray[np.float64], usual: float | None = None) -> bool:
    """Whether a run saw a single state of the machine.

    Args:
        canary: [n] seconds of one call in each block.
        usual: the same on the undisturbed machine; None if that is not known.
    """
    logs = logarithms(canary)
    smooth = np.sort(_smooth(logs))
    most = float(np.quantile(smooth, 0.75))
    if usual is not None and most > np.log(_USUAL * usual):
        return False
    noise = float(np.median(np.abs(np.diff(logs)))) / 0.954  # of one block, as if neighbours had the same state
    return most - float(_fastest(smooth[None])[0]) <= _STEADY + _NOISE * noise


def as_usual(canary: NDArray[np.float64], usual: float | None) -> bool:
    """Whether the fastest state of a run is that of the undisturbed machine.

    Args:
        canary: [n] seconds of one call in each block.
        usual: the same on the undisturbed machine; None if that is not known.
    """
    return usual is None or float(undisturbed(logarithms(canary)[None])[0]) <= np.log(_USUAL * usual)


def _fastest(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    count = max(_FEWEST, round(_FASTEST * ordered.shape[1]))
    return np.asarray(ordered[:, :count].mean(axis=1))


def _within(ordered: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(ordered <= (_fastest(ordered) + _BAND)[:, None])


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, _WINDOW // 2, mode="reflect" if len(values) > _WINDOW // 2 else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1))
