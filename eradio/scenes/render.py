"""From a layout to pixels."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eradio.scenes.draws import direction
from eradio.scenes.kinds import SIDE, sprites
from eradio.scenes.layout import Layout, Light, Placed
from eradio.scenes.textures import Texture, field

VERSION = 1
"""Raised whenever the same layout gives other pixels."""

Patch = tuple[slice, slice, NDArray[np.uint8]]


def picture(layout: Layout, size: int) -> NDArray[np.uint8]:
    """[size, size, 3] uint8: the layout painted from the back to the front, then lit."""
    # Channels come first until the end: NumPy's inner loop then runs along rows, not over three numbers.
    canvas = _background(layout.texture, layout.light, size)
    for place in layout.painting:
        placed = layout.objects[place]
        down, across, patch = _patch(placed, size)
        channels = patch.transpose(2, 0, 1).copy()
        # Colour is at most opacity, so 256 colour + 255 (256 - opacity) still fits 16 bits.
        colour = channels[:3] * _factors(layout.light, placed.gain)
        colour += canvas[:, down, across] * (np.uint16(256) - channels[3])
        colour >>= 8
        canvas[:, down, across] = colour
    return _shaded(canvas, layout.light, size)


def masks(layout: Layout, size: int) -> NDArray[np.bool_]:
    """[objects, size, size] bool: where each object is the foremost opaque thing; no two overlap."""
    seen = np.zeros((len(layout.objects), size, size), np.bool_)
    for place in layout.painting:
        down, across, patch = _patch(layout.objects[place], size)
        opaque = patch[..., 3] >= 128
        seen[:, down, across] &= ~opaque
        seen[place, down, across] = opaque
    return seen


def semantic(layout: Layout, seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """[size, size] uint8 from the objects' masks: 0 for the background, else the kind's index plus 1."""
    labels = np.zeros(seen.shape[1:], np.uint8)
    for placed, mask in zip(layout.objects, seen, strict=True):
        labels[mask] = placed.kind + 1
    return labels


def _background(texture: Texture, light: Light, size: int) -> NDArray[np.uint8]:
    """[3, size, size] uint8."""
    ends = np.array((texture.low, texture.high), np.float32) * np.array(light.tint, np.float32)
    low, high = ends[..., None]
    table: NDArray[np.uint8] = (low + _SHARES * (high - low)).astype(np.uint8)
    return np.asarray(table.take(field(texture, size), axis=1, mode="clip"))


_SHARES = np.arange(256, dtype=np.float32) / np.float32(255)


def _factors(light: Light, gain: float) -> NDArray[np.uint16]:
    """[3, 1, 1] brightness of an object's colours, 256 being full."""
    return np.array([int(256 * gain * channel) for channel in light.tint], np.uint16)[:, None, None]


def _patch(placed: Placed, size: int) -> Patch:
    """The rows, the columns, and the [rows, columns, 4] uint8 premultiplied pixels that an object covers."""
    cosine, sine = direction(placed.turn)
    # The tile's margin of one pixel on each side is not part of the object.
    side = placed.size * size * SIDE / (SIDE - 2)
    reach = side / 2 * (abs(cosine) + abs(sine))
    x, y = placed.x * size, placed.y * size
    left, right = max(0, int(x - reach)), min(size, int(x + reach) + 1)
    top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 1)
    halvings = 0 if 2 * side > SIDE else 1 if 4 * side > SIDE else 2
    tile = SIDE >> halvings
    scale = tile / side
    a, b = (-scale * cosine, -scale * sine) if placed.mirrored else (scale * cosine, scale * sine)
    d, e = -scale * sine, scale * cosine
    dx, dy = left - x, top - y
    matrix = (a, b, tile / 2 + a * dx + b * dy, d, e, tile / 2 + d * dx + e * dy)
    width, height = right - left, bottom - top
    turned = sprites(halvings)[placed.kind].transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    patch = np.frombuffer(turned.tobytes(), np.uint8).reshape(height, width, 4)
    return slice(top, bottom), slice(left, right), patch


def _shaded(canvas: NDArray[np.uint8], light: Light, size: int) -> NDArray[np.uint8]:
    """[size, size, 3] uint8: the canvas darkened along the light's direction, channels last."""
    across, down = _thousandths(size)
    cosine, sine = direction(light.turn)
    weight = 128 * light.fall
    plane = across * np.int32(weight * cosine) + down * np.int32(weight * sine)
    dimming = (np.int32(256 - weight) - (plane >> 10)).astype(np.uint16)
    lit = np.empty((size, size, 3), np.uint8)
    np.right_shift(canvas * dimming, 8, out=lit.transpose(2, 0, 1), casting="unsafe")
    return lit


@cache
def _thousandths(size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """[1, size] and [size, 1] coordinates of the pixels' centres, -724 .. 724: 1024 along the diagonal."""
    line = np.rint(((np.arange(size) + 0.5) / size - 0.5) * 1448).astype(np.int32)
    return line[None], line[:, None]
