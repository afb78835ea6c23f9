"""In which order an epoch shows its pictures: a pure function of seed, epoch and position.

Pictures that are stored together (a shard's) are shown within a window of a few such stretches, in an order of its own
in each epoch: what is read at a time stays small, however many pictures there are.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

_TOGETHER = 16
"""Stretches of a window."""


class Stretches(tuple[int, ...]):
    """How many pictures are stored together, stretch after stretch; may be long, so its hash is known beforehand."""

    _hash: int

    def __new__(cls, sizes: Iterable[int]) -> Self:
        """Of the sizes."""
        found = super().__new__(cls, sizes)
        found._hash = hash((len(found), sum(found)))
        return found

    def __hash__(self) -> int:
        return self._hash


def shown_at(seed: int, epoch: int, position: int, stretches: Stretches, partition: int = 0) -> int:
    """The picture at a position of an epoch, each of which shows every picture once.

    Args:
        seed: of the recipe.
        epoch: from 0.
        position: from 0 to the number of pictures.
        stretches: of the data set.
        partition: whose order it is.
    """
    key = (seed, epoch, partition) if partition else (seed, epoch)
    ends = _windows(key, stretches)[1]
    window = int(np.searchsorted(ends, position, side="right"))
    members = _window(key, window, stretches)
    return int(members[position - int(ends[window]) + len(members)])


@lru_cache(maxsize=16)
def _windows(key: tuple[int, ...], stretches: Stretches) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """The stretches of each window, and at which position it ends."""
    order = np.arange(1) if len(stretches) == 1 else np.random.default_rng(key).permutation(len(stretches))
    windows = [order[start : start + _TOGETHER] for start in range(0, len(order), _TOGETHER)]
    return windows, np.cumsum([sum(stretches[one] for one in window) for window in windows])


@lru_cache(maxsize=8)
def _window(key: tuple[int, ...], number: int, stretches: Stretches) -> NDArray[np.int64]:
    """The pictures of a window in the order in which they are shown."""
    starts = np.cumsum([0, *stretches])
    window = _windows(key, stretches)[0][number]
    members = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in window])
    draw = np.random.default_rng(key if len(stretches) == 1 else (*key, number))
    return np.asarray(members[draw.permutation(len(members))])
