"""Replayed searches compared seed by seed: how good after so much compute, and how much compute until so good."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from eradio.interval import Interval, bootstrap_interval, median
from eradio.study.simulator.replay import Replay

RESAMPLES = 2000

NEVER = 1e9
"""Stands for what is infinite, since an interval's ends are finite."""


def area_after(one: Replay, compute: float) -> float:
    """The hypervolume, in parts of the table's, after so many seconds of training."""
    place = bisect_right(one.compute, compute)
    return one.hypervolume[place - 1] if place else 0.0


def final_area(one: Replay) -> float:
    """The hypervolume at the end, in parts of the table's."""
    return one.hypervolume[-1] if one.hypervolume else 0.0


def compute_until(one: Replay, area: float) -> float:
    """Seconds of training until the hypervolume is that large; infinite if it never is."""
    reached = (spent for spent, now in zip(one.compute, one.hypervolume, strict=True) if now >= area)
    return next(reached, float("inf"))


def shares(ours: Sequence[Replay], theirs: Sequence[Replay]) -> list[float]:
    """Of their whole compute, the part that we need to reach their final hypervolume, seed by seed."""
    pairs = zip(ours, theirs, strict=True)
    return [compute_until(our, final_area(their)) / their.spent for our, their in pairs]


def middle(values: Sequence[float]) -> Interval:
    """Median over seeds with its 95 % bootstrap interval; an end is `NEVER` where too few seeds arrive."""
    finite = np.minimum(np.asarray(values, dtype=np.float64), NEVER)
    return bootstrap_interval(finite, median, resamples=RESAMPLES)
