"""Which candidates are worth a longer rung: successive halving that judges by the whole front.

Throughput is known before training, so at each rung a candidate is judged by its rank in (loss at this rung,
throughput) among all that have reached the rung so far: nobody waits for anybody. Schmucker et al., "Multi-objective
asynchronous successive halving" (arXiv 2106.12639), section 3; Li et al., "A system for massively parallel
hyperparameter tuning" (arXiv 1810.05934), algorithm 2, for one objective.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from eradio.description import Description
from eradio.front import Floats, Indices, contributions, ranks

_BEHIND = 0.1
"""How far behind the worst point the reference stands, in parts of the range, so that the ends of a front count."""


class Halving(Description):
    """When candidates are judged, and how strictly."""

    rungs: tuple[int, ...] = Field(min_length=1)
    """Training steps after which candidates are judged, ascending; the last rung of all is the recipe's steps."""
    reduction: int = Field(default=3, ge=2, le=16)
    """One in so many of those that reached a rung goes on from it."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.rungs[0] < 1 or any(late <= early for early, late in zip(self.rungs, self.rungs[1:], strict=False)):
            raise ValueError(f"rungs must be training steps in ascending order, not {list(self.rungs)}")
        return self


class Decision(Description):
    """What became of a candidate at a rung. It is written down where it was made, and never made again."""

    steps: int
    goes_on: bool
    place: int
    """0 for the best."""
    among: int
    """How many had reached the rung, itself included."""


def judge(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    """Decide on one candidate at a rung.

    Args:
        points: [n, 1 + T] loss at this rung and negated throughputs on T targets, of all that have reached it.
        own: which of them is judged.
        steps: of the rung.
        reduction: one in so many goes on; of fewer than that, one.
    """
    places = standings(points)
    among = len(places)
    return Decision(steps=steps, goes_on=bool(places[own] < max(1, among // reduction)), place=places[own], among=among)


def standings(points: ArrayLike) -> list[int]:
    """The place of each point, 0 for the best; with several targets, by the front on which it stands best.

    Args:
        points: [n, 1 + T] loss and negated throughputs, all minimised.
    """
    values = np.asarray(points, dtype=np.float64)
    fronts = [_places(values[:, [0, target]]) for target in range(1, values.shape[1])]
    best = np.min(fronts, axis=0)
    result = np.empty(len(values), dtype=np.int64)
    result[np.argsort(best, kind="stable")] = np.arange(len(values))
    return [int(place) for place in result]


def _places(values: Floats) -> Indices:
    """[n] places on one front: by rank of non-dominated sorting, then by contribution to its hypervolume."""
    worst, best = values.max(axis=0), values.min(axis=0)
    reference = worst + _BEHIND * np.where(worst > best, worst - best, 1.0)
    rank = ranks(values)
    gain = np.zeros(len(values))
    for number in range(int(rank.max()) + 1):
        peers = np.flatnonzero(rank == number)
        gain[peers] = contributions(values[peers], reference)
    places = np.empty(len(values), dtype=np.intp)
    places[np.lexsort((-gain, rank))] = np.arange(len(values))
    return places
