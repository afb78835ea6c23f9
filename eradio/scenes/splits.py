"""What each split shows, and what training never shows.

Three things are withheld from `train`, `val` and `single-train`, so that a network cannot do well on `test`
and `single` by remembering backgrounds, company or arrangement:

- five families of background texture (`textures.HELD_OUT`);
- one in ten pairs of kinds (`is_held_out_pair`): the two never stand in one picture;
- for every other pair, one of the six relations (`held_out_relation`), with its converse from the other side.
"""

import zlib
from enum import StrEnum
from functools import cache
from typing import Literal, get_args

from eradio.scenes.kinds import KINDS

Split = Literal["train", "val", "test", "single", "single-train"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Relation(StrEnum):
    """Where a first object stands with respect to a second, as seen in the picture."""

    LEFT = "left of"
    RIGHT = "right of"
    ABOVE = "above"
    BELOW = "below"
    FRONT = "in front of"
    BEHIND = "behind"

    @property
    def converse(self) -> "Relation":
        """The same arrangement told from the second object."""
        return _CONVERSE[self]


RELATIONS: tuple[Relation, ...] = tuple(Relation)
_CONVERSE = {relation: RELATIONS[place ^ 1] for place, relation in enumerate(RELATIONS)}


def shows_held_out(split: Split) -> bool:
    """Whether a split shows what training never shows."""
    return split in ("test", "single")


def is_single(split: Split) -> bool:
    """Whether every picture of a split has exactly one object, index modulo the number of kinds."""
    return split in ("single", "single-train")


@cache
def is_held_out_pair(first: int, second: int) -> bool:
    """Whether training never shows these two kinds together; symmetric, false for a kind with itself."""
    return first != second and _mixed(first, second) % 10 == 0


@cache
def held_out_relation(first: int, second: int) -> Relation:
    """The relation of the first kind to the second that training never shows.

    `held_out_relation(b, a)` is the converse of `held_out_relation(a, b)`: both tell of the same arrangement.
    """
    relation = RELATIONS[_mixed(first, second) // 10 % len(RELATIONS)]
    return relation if first < second else relation.converse


@cache
def held_out_partners(kind: int) -> tuple[int, ...]:
    """The kinds that training never shows together with this one."""
    return tuple(other for other in range(len(KINDS)) if is_held_out_pair(kind, other))


def is_trainable(first: int, relation: Relation, second: int) -> bool:
    """Whether training may show two kinds so: the pair is not held out, nor is its relation."""
    return not is_held_out_pair(first, second) and held_out_relation(first, second) is not relation


def _mixed(first: int, second: int) -> int:
    return zlib.crc32(f"{min(first, second)} with {max(first, second)}".encode())
