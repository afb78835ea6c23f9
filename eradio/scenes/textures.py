"""Backgrounds: families of procedural texture, some of which training never sees.

A family maps two coordinate planes to a field in [0, 1]; a table of 256 colours turns the field into a
picture. Only additions, multiplications, roundings and square roots occur, which IEEE 754 fixes to the last
bit, so that a background is the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eradio.scenes.draws import Draws, direction

Plane = NDArray[np.float32]
Family = Callable[[Plane, Plane, float], Plane]

_BANK = 256


@dataclass(frozen=True, slots=True)
class Texture:
    """One background.

    Attributes:
        family: key of FAMILIES.
        turn: direction in full turns.
        scale: repetitions of the pattern across the picture.
        shift: where the pattern starts, in repetitions along and across.
        shape: the family's own parameter, in [0, 1).
        low, high: red, green and blue in 0 .. 255 where the field is 0 and where it is 1.
    """

    family: str
    turn: float
    scale: float
    shift: tuple[float, float]
    shape: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def draw_texture(draws: Draws, families: tuple[str, ...]) -> Texture:
    """A texture of one of the families, its two colours between similar and far apart."""
    low = [draws.between(30, 250) for _ in range(3)]
    contrast = draws.between(0.25, 0.8)
    high = [channel + contrast * (draws.between(30, 250) - channel) for channel in low]
    return Texture(
        family=draws.one_of(families),
        turn=draws.unit(),
        scale=draws.between(2, 7),
        shift=(draws.unit() * 16, draws.unit() * 16),
        shape=draws.unit(),
        low=(low[0], low[1], low[2]),
        high=(high[0], high[1], high[2]),
    )


def field(texture: Texture, size: int) -> NDArray[np.uint8]:
    """[size, size] uint8: the pattern, 0 where the texture has its low colour, 255 where its high one."""
    across, down = _grid(size)
    cosine, sine = direction(texture.turn)
    along, aside = np.float32(texture.scale * cosine), np.float32(texture.scale * sine)
    u = across * along + down * aside + np.float32(texture.shift[0])
    v = down * along - across * aside + np.float32(texture.shift[1])
    return (FAMILIES[texture.family](u, v, texture.shape) * np.float32(255)).astype(np.uint8)


@cache
def _grid(size: int) -> tuple[Plane, Plane]:
    """[1, size] and [size, 1] coordinates of the pixels' centres, -1/2 .. 1/2."""
    line = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    return line[None], line[:, None]


def _wave(u: Plane) -> Plane:
    """A smooth wave of period 1 in [0, 1], made of third powers."""
    bend = _off(u) * 2
    return np.asarray(bend * bend * (3 - 2 * bend))


def _off(u: Plane) -> Plane:
    """Distance to the nearest whole number, at most 1/2."""
    return np.asarray(np.abs(u - np.rint(u)))


def _step(plane: Plane, at: float, softness: float) -> Plane:
    """0 below, 1 above, a straight slope in between."""
    return np.asarray(np.clip((plane - np.float32(at)) * np.float32(1 / softness) + np.float32(0.5), 0, 1))


def _ramp(u: Plane, v: Plane, shape: float) -> Plane:
    return _wave(u * np.float32(0.12 + 0.1 * shape) + v * np.float32(0.02))


def _stripes(u: Plane, v: Plane, shape: float) -> Plane:
    return _step(_wave(u), 0.25 + 0.5 * shape, 0.3)


def _checks(u: Plane, v: Plane, shape: float) -> Plane:
    return _step((_wave(u) - np.float32(0.5)) * (_wave(v) - np.float32(0.5)), 0, 0.05 + 0.2 * shape)


def _dots(u: Plane, v: Plane, shape: float) -> Plane:
    a, b = u - np.rint(u), v - np.rint(v)
    return _step(np.sqrt(a * a + b * b), 0.2 + 0.2 * shape, 0.12)


def _plaid(u: Plane, v: Plane, shape: float) -> Plane:
    return np.asarray((_step(_wave(u), 0.3 + 0.4 * shape, 0.2) + _step(_wave(v), 0.7 - 0.4 * shape, 0.2)) / 2)


def _clouds(u: Plane, v: Plane, shape: float) -> Plane:
    return _step(_looked_up(_cloud_bank(), u * 12, v * 12), 0.5, 0.5 + 0.5 * shape)


def _marble(u: Plane, v: Plane, shape: float) -> Plane:
    return _wave(u + _looked_up(_cloud_bank(), u * 10, v * 10) * np.float32(1 + 3 * shape))


def _bricks(u: Plane, v: Plane, shape: float) -> Plane:
    a = (u + np.floor(v)) * np.float32(0.5)
    return _step(np.minimum(2 * _off(a), _off(v)), 0.06 + 0.1 * shape, 0.08)


def _speckle(u: Plane, v: Plane, shape: float) -> Plane:
    return _looked_up(_grain_bank(), u * np.float32(8 + 24 * shape), v * np.float32(8 + 24 * shape))


def _rings(u: Plane, v: Plane, shape: float) -> Plane:
    a, b = u - 8, v - 8
    return _step(_wave(np.sqrt(a * a + b * b)), 0.3 + 0.4 * shape, 0.4)


def _zigzag(u: Plane, v: Plane, shape: float) -> Plane:
    return _step(_wave(v + _off(u) * np.float32(1 + shape)), 0.5, 0.3)


def _cells(u: Plane, v: Plane, shape: float) -> Plane:
    return _step(_looked_up(_cell_bank(), u * 16, v * 16), 0.15 + 0.2 * shape, 0.3 + shape)


def _scales(u: Plane, v: Plane, shape: float) -> Plane:
    row = np.floor(v)
    a = u + row * np.float32(0.5)
    a, b = a - np.rint(a), v - row
    return _wave(np.sqrt(a * a + b * b) * np.float32(0.7 + shape))


def _weave(u: Plane, v: Plane, shape: float) -> Plane:
    over = (np.floor(u) + np.floor(v)) % 2 < 1
    thread = np.where(over, v, u)
    return np.asarray(_wave(thread) * np.where(over, np.float32(1), np.float32(0.35 + 0.4 * shape)))


FAMILIES: dict[str, Family] = {
    "ramp": _ramp,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "plaid": _plaid,
    "clouds": _clouds,
    "marble": _marble,
    "bricks": _bricks,
    "speckle": _speckle,
    "rings": _rings,
    "zigzag": _zigzag,
    "cells": _cells,
    "scales": _scales,
    "weave": _weave,
}
HELD_OUT: tuple[str, ...] = ("rings", "zigzag", "cells", "scales", "weave")
TRAINING: tuple[str, ...] = tuple(family for family in FAMILIES if family not in HELD_OUT)


def _looked_up(bank: Plane, u: Plane, v: Plane) -> Plane:
    """The periodic bank at the nearest whole coordinates."""
    places = (v.astype(np.int32) & (_BANK - 1)) * _BANK + (u.astype(np.int32) & (_BANK - 1))
    return bank.take(places)


@cache
def _grain_bank() -> Plane:
    """[256, 256] white noise, lightly smoothed."""
    noise = _noise("grain", _BANK)
    return np.asarray((noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3)


@cache
def _cloud_bank() -> Plane:
    """[256, 256] noise of four octaves, periodic, stretched to [0, 1]."""
    total = np.zeros((_BANK, _BANK), np.float32)
    for octave in range(4):
        total += _enlarged(_noise(f"cloud {octave}", 8 << octave)) * np.float32(0.5**octave)
    return np.asarray((total - total.min()) / (total.max() - total.min()))


@cache
def _cell_bank() -> Plane:
    """[256, 256] distance to the nearest of 16 x 16 scattered points, in cells, at most 1."""
    cells = 16
    shifts = np.stack([_noise("cell x", cells), _noise("cell y", cells)], -1)
    line = (np.arange(_BANK, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / _BANK)
    place = np.stack(np.broadcast_arrays(line[None], line[:, None]), -1)
    cell = np.floor(place).astype(np.int32)
    nearest = np.ones((_BANK, _BANK), np.float32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            other = cell + np.array([across, down], np.int32)
            point = other + shifts[other[..., 1] % cells, other[..., 0] % cells]
            away = (place - point).astype(np.float32)
            nearest = np.minimum(nearest, np.sqrt(away[..., 0] * away[..., 0] + away[..., 1] * away[..., 1]))
    return nearest


def _noise(name: str, side: int) -> Plane:
    """[side, side] independent numbers in [0, 1)."""
    draws = Draws("texture", name)
    return np.array([draws.unit() for _ in range(side * side)], np.float32).reshape(side, side)


def _enlarged(lattice: Plane) -> Plane:
    """A periodic lattice, interpolated smoothly to the bank's side."""
    side = len(lattice)
    place = np.arange(_BANK, dtype=np.float32) * np.float32(side / _BANK)
    before = place.astype(np.int32)
    share = place - before
    share = share * share * (3 - 2 * share)
    after = (before + 1) % side
    rows = lattice[before] * (1 - share)[:, None] + lattice[after] * share[:, None]
    return np.asarray(rows[:, before] * (1 - share) + rows[:, after] * share)
