"""The kinds of object in the embedded world, and their pictures."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ATLAS = Path(__file__).with_name("kinds.npz")
SIDE = 48
"""Side of a stored tile in pixels: the object's longer side is SIDE - 2, one pixel of margin all around."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    Attributes:
        name: the noun, such as "red apple".
        caption: the noun with its article, "a red apple".
        source: the short name of the emoji that shows it.
    """

    name: str
    caption: str
    source: str


def listed() -> list[tuple[str, str]]:
    """(short name of the emoji, caption) of every kind, in the order of kinds.txt."""
    lines = ATLAS.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return [(source, caption.strip()) for source, caption in pairs]


KINDS: tuple[Kind, ...] = tuple(
    Kind(name=caption.split(maxsplit=1)[1], caption=caption, source=source) for source, caption in listed()
)


@cache
def tiles() -> NDArray[np.uint8]:
    """[kinds, SIDE, SIDE, 4] uint8, read-only: red, green and blue multiplied by opacity, then opacity."""
    with np.load(ATLAS, allow_pickle=False) as stored:
        pixels: NDArray[np.uint8] = np.cumsum(stored["rows"], axis=1, dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels


@cache
def sprites(halvings: int) -> tuple[Image.Image, ...]:
    """The tiles as premultiplied pictures, each side halved that many times by averaging.

    Sampling a tile at less than half its size would skip pixels, so a smaller copy serves small objects.
    """
    whole = [Image.frombuffer("RGBa", (SIDE, SIDE), tile.tobytes(), "raw", "RGBa", 0, 1) for tile in tiles()]
    return tuple(sprite.reduce(1 << halvings) if halvings else sprite for sprite in whole)


@cache
def atlas_digest() -> str:
    """SHA-256 of the stored pictures' bytes and of the list of kinds."""
    captions = "\n".join(f"{kind.source} {kind.caption}" for kind in KINDS)
    return hashlib.sha256(ATLAS.read_bytes() + captions.encode()).hexdigest()
