"""Dominance, fronts and hypervolume of measured points. Every objective is minimised: negate a throughput."""

from bisect import bisect_left
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


def dominates(a: ArrayLike, b: ArrayLike) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better (Pareto dominance).

    Args:
        a: [m] objectives.
        b: [m] objectives.
    """
    first, second = _points(np.asarray(a)[None]), _points(np.asarray(b)[None])
    return bool((first <= second).all() and (first < second).any())


def front(points: ArrayLike) -> Indices:
    """Indices of the points that no other dominates, ordered by the first objective; equal points all stay.

    Args:
        points: [n, m] objectives.

    Returns:
        [k] indices into `points`.
    """
    values = _points(points)
    dominated = _ranks_in_plane(values) > 0 if values.shape[1] == 2 else _dominated(values)
    kept = np.flatnonzero(~dominated)
    return kept[np.lexsort(values[kept].T[::-1])]


def ranks(points: ArrayLike) -> NDArray[np.int64]:
    """Rank by non-dominated sorting: 0 on the front, 1 on the front of the rest, and so on.

    Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), section III-A. Two objectives
    take n log n comparisons, more of them n² for each rank.

    Args:
        points: [n, m] objectives.

    Returns:
        [n] ranks.
    """
    values = _points(points)
    if values.shape[1] == 2:
        return _ranks_in_plane(values)
    result = np.zeros(len(values), dtype=np.int64)
    left = np.arange(len(values))
    while len(left):
        dominated = _dominated(values[left])
        left = left[dominated]
        result[left] += 1
    return result


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Area that the points dominate up to the reference point, exactly, for two objectives.

    Zitzler and Thiele, "Multiobjective evolutionary algorithms: a comparative case study" (1999). A point
    that is not better than the reference in both objectives adds nothing.

    Args:
        points: [n, 2] objectives.
        reference: [2] the worst corner.

    Raises:
        ValueError: there are not exactly two objectives, or the reference is not finite.
    """
    values, corner = _plane(points, reference)
    inside = values[(values < corner).all(axis=1)]
    edge = inside[front(inside)]
    # From left to right, each point adds the rectangle between its own height and its left neighbour's.
    ceilings = np.concatenate([corner[1:], edge[:-1, 1]])
    return float(((corner[0] - edge[:, 0]) * (ceilings - edge[:, 1])).sum())


def contributions(points: ArrayLike, reference: ArrayLike) -> Floats:
    """What the hypervolume loses when one point is taken away, for each point, for two objectives.

    A dominated point, and each of several equal points, contributes nothing. Points of which none dominates another
    take n log n comparisons, others n log n for each point of the front.

    Args:
        points: [n, 2] objectives.
        reference: [2] the worst corner.

    Returns:
        [n] areas, none negative.

    Raises:
        ValueError: there are not exactly two objectives, or the reference is not finite.
    """
    values, corner = _plane(points, reference)
    result = np.zeros(len(values))
    places = front(values)
    if len(places) == len(values):
        edge = np.minimum(values[places], corner)
        # Nothing lies behind a point, so it adds the rectangle between itself and its two neighbours.
        right, above = np.append(edge[1:, 0], corner[0]), np.append(corner[1], edge[:-1, 1])
        result[places] = (right - edge[:, 0]) * (above - edge[:, 1])
        return result
    whole = hypervolume(values, corner)
    for index in places:
        result[index] = max(0.0, whole - hypervolume(np.delete(values, index, axis=0), corner))
    return result


def _points(points: ArrayLike) -> Floats:
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return values.reshape(0, values.shape[1] if values.ndim == 2 else 2)
    if values.ndim != 2:
        raise ValueError(f"points must be [n, m]; their shape is {list(values.shape)}")
    if np.isnan(values).any():
        raise ValueError("a point has an objective that is not a number, which nothing can be compared with")
    return values


def _plane(points: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    values = _points(points)
    corner = np.asarray(reference, dtype=np.float64)
    if values.shape[1] != 2 or corner.shape != (2,):
        raise ValueError(
            f"hypervolume is for two objectives; points have {values.shape[1]}, the reference {corner.size}"
        )
    if not np.isfinite(corner).all():
        raise ValueError("the reference point must be finite")
    return values, corner


def _ranks_in_plane(values: Floats) -> NDArray[np.int64]:
    """[n] ranks of [n, 2] points, after Jensen, "Reducing the run-time complexity of multiobjective EAs" (2003).

    From left to right, only the last and lowest point of each rank can dominate the next point, and these lie the
    higher the worse their rank is: so the first rank that does not is found by halving.
    """
    result = np.zeros(len(values), dtype=np.int64)
    lowest: list[tuple[float, float]] = []
    for index in np.lexsort((values[:, 1], values[:, 0])):
        across, height = values[index].tolist()
        rank = bisect_left(lowest, (height, across))
        result[index] = rank
        lowest[rank : rank + 1] = [(height, across)]
    return result


def _dominated(values: Floats) -> NDArray[np.bool_]:
    """[n] whether some other point dominates this one."""
    result = np.zeros(len(values), dtype=np.bool_)
    for index, value in enumerate(values):
        result[index] = ((values <= value).all(axis=1) & (values < value).any(axis=1)).any()
    return result
