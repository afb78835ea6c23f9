"""Which part of a run saw the machine as fast as it can be.

A shared machine has states: while a neighbour uses the other half of a core, everything is slower by half, but a
convolution is not slowed down as an attention is, so the ratio itself is another (0.25 and 0.29 were seen of one
network, in turns of seconds to minutes). No interval from inside one state can know of the other. The ratio is
therefore that of the undisturbed machine, and a run that hardly saw it settles nothing.
"""

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.15
"""How much slower than the fast state still counts as it; the states that were seen lie 50 % apart."""

_NOISE = 4.0
"""More where samples are noisy: this many deviations of what neighbours differ by, of which the quantile below takes
one and a third."""

LEAST_SHARE = 1 / 3
"""Of the samples. Fewer are mostly moments in which the state was about to change."""

_FAST = 0.1
"""The quantile of times that stands for the fast state, as the very fastest may be luck."""


def undisturbed(
    candidate: NDArray[np.float64], canary: NDArray[np.float64], usual: float | None = None
) -> NDArray[np.bool_]:
    """Mark the samples in which both networks were nearly as fast as ever.

    Args:
        candidate: [n] seconds of one call in each sample.
        canary: [n] the canary's beside it.
        usual: seconds of one call of the canary on the undisturbed machine, where that is known from before.

    Returns:
        [n] booleans.
    """
    fast = _fast(canary, usual)
    if fast.any():
        fast &= candidate <= _slowest(candidate, float(np.quantile(candidate[fast], _FAST)))
    return fast


def fast_part(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times, of one network alone, that are near the fastest ones: [m], at least one."""
    return times[_fast(times, None)]


def _fast(times: NDArray[np.float64], usual: float | None) -> NDArray[np.bool_]:
    best = float(np.quantile(times, _FAST))
    return np.asarray(times <= _slowest(times, best if usual is None else min(best, usual)))


def _slowest(times: NDArray[np.float64], best: float) -> float:
    """Time up to which a sample counts as fast; neighbours are mostly of one state, so their differences are noise."""
    steps = np.abs(np.diff(np.log(times)))
    noise = float(np.median(steps)) / 0.954 if len(steps) else 0.0
    return best * float(np.exp(max(np.log(1 + TOLERANCE), _NOISE * noise)))
