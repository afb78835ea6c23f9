"""Which part of a run saw the machine as fast as it can be.

A shared machine has states: while a neighbour uses the other half of a core, everything is slower by half, but a
convolution is not slowed down as an attention is, so the ratio itself is another (0.25 and 0.29 were seen of one
network, in turns of seconds to minutes). No interval from inside one state can know of the other. The ratio is
therefore that of the fast state, and a run that hardly saw it settles nothing.

The canary alone tells the state: a candidate that is fast and slow by itself keeps both.
"""

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = 1 / 3
"""Of the samples. Fewer are mostly moments in which the state was about to change."""

FEWEST = 5
"""Samples below which their interval claims too much."""

_TOLERANCE = (0.14, 0.35)
"""By how much a logarithm of time may be above the fast state's: at least, and at most however noisy blocks are. The
states that were seen lie 0.4 to 0.5 apart."""

_NOISE = 4.0
"""Between the two, this many deviations of what neighbouring blocks differ by."""

_FAST = 0.1
"""The quantile of times that stands for the fast state, as the very fastest may be luck."""

_WINDOW = 5
"""Blocks of the running median."""

_USUAL = 1.25
"""How many times slower than the stored rate a run's fast state may be and still be the machine's."""

_SHORTEST = 1e-9
"""Seconds; a coarse clock may say none at all."""


def undisturbed(canary: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the samples of the fast state.

    A sample counts if its own blocks of the canary and those of its neighbours are fast: so every block of the
    candidate has a fast one before and after it.

    Args:
        canary: [2 n] seconds of one call in each block, two blocks a sample.

    Returns:
        [n] booleans.
    """
    fast = np.pad(_fast(canary).reshape(-1, 2).all(axis=1), 1, constant_values=True)
    return np.asarray(fast[:-2] & fast[1:-1] & fast[2:])


def fast_part(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The blocks, of one network alone, that saw the fast state; all of them if too few did."""
    fast = _fast(times)
    return times[fast] if enough(fast) else times


def enough(fast: NDArray[np.bool_]) -> bool:
    """Whether so many samples are marked that they may speak for the run."""
    return bool(fast.sum() >= FEWEST and fast.mean() >= LEAST_SHARE)


def as_usual(canary: NDArray[np.float64], usual: float | None) -> bool:
    """Whether a run's fast state is that of the machine.

    Args:
        canary: [n] seconds of one call in each block.
        usual: the same by the stored rate; None if that is not known.
    """
    return usual is None or float(np.quantile(_smooth(canary), _FAST)) <= _USUAL * usual


def _fast(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    logs, smooth = np.log(np.maximum(times, _SHORTEST)), np.log(np.maximum(_smooth(times), _SHORTEST))
    steps = np.abs(np.diff(logs))
    noise = float(np.median(steps)) / 0.954 if len(steps) else 0.0
    return np.asarray(smooth <= np.quantile(smooth, _FAST) + np.clip(_NOISE * noise, *_TOLERANCE))


def _smooth(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running median: a spike is no state. It strikes candidates as often, where nobody leaves it out."""
    padded = np.pad(times, _WINDOW // 2, mode="reflect" if len(times) > _WINDOW // 2 else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1))
