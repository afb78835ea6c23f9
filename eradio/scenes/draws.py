"""Random choices that are a pure function of what names them."""

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")

_BLOCK = struct.Struct("<96I")


class Draws:
    """A stream of random choices fixed by its name, through SHAKE-256.

    A hash costs a few microseconds where seeding one of NumPy's generators costs ten times that, and its
    output changes with no library's version.
    """

    def __init__(self, *name: str | int) -> None:
        self._name = "/".join(map(str, name))
        self._block = 0
        self._numbers: list[int] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._numbers:
            seed = f"{self._name}/{self._block}".encode()
            self._numbers = list(_BLOCK.unpack(hashlib.shake_256(seed).digest(_BLOCK.size)))
            self._block += 1
        return self._numbers.pop() / 4294967296

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        """A whole number in 0 .. count - 1."""
        return int(self.unit() * count)

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices, each as likely."""
        return choices[self.below(len(choices))]


def direction(turn: float) -> tuple[float, float]:
    """(cosine, sine) of a turn, 1 being the full circle.

    Rounded to 2^-20, so that mathematical libraries which differ in the last digit give the same picture.
    """
    angle = 2 * math.pi * turn
    return round(math.cos(angle) * 1048576) / 1048576, round(math.sin(angle) * 1048576) / 1048576
