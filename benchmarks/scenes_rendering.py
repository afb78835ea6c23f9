"""Pictures per second of the embedded world's rendering, beside plain Pillow compositing of the same layouts.

    OMP_NUM_THREADS=1 python benchmarks/scenes_rendering.py

The named alternative does what one writes first with Pillow: resize the object, rotate it, paste it through
its own opacity on the same background, then darken the whole picture. The three take turns on the same block
of indices, so that a drift of the machine meets all alike. Each line is the median over the blocks with its
95 % bootstrap interval; the ratio is taken block by block.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from eradio.interval import bootstrap_interval, median
from eradio.scenes import Scenes
from eradio.scenes.kinds import SIDE, sprites
from eradio.scenes.layout import Layout
from eradio.scenes.textures import field


def plain(layout: Layout, size: int, objects: list[Image.Image]) -> NDArray[np.uint8]:
    """[size, size, 3] uint8: the layout by whole-picture operations of Pillow."""
    texture, light = layout.texture, layout.light
    share = (field(texture, size) / 255.0)[..., None]
    low, high = np.array(texture.low), np.array(texture.high)
    canvas = Image.fromarray((low + share * (high - low)).astype(np.uint8)).convert("RGBA")
    for place in layout.painting:
        placed = layout.objects[place]
        side = max(1, round(placed.size * size * SIDE / (SIDE - 2)))
        sprite = objects[placed.kind].resize((side, side), Image.Resampling.BILINEAR)
        if placed.mirrored:
            sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        sprite = sprite.rotate(-360 * placed.turn, Image.Resampling.BILINEAR, expand=True)
        sprite = ImageEnhance.Brightness(sprite).enhance(placed.gain)
        layer = Image.new("RGBA", (size, size))
        layer.paste(sprite, (round(placed.x * size - sprite.width / 2), round(placed.y * size - sprite.height / 2)))
        canvas = Image.alpha_composite(canvas, layer)
    line = (np.arange(size) + 0.5) / size - 0.5
    angle = 2 * np.pi * light.turn
    slope = 1 - light.fall * (0.5 + (line[None] * np.cos(angle) + line[:, None] * np.sin(angle)) / np.sqrt(2))
    lit = np.asarray(canvas.convert("RGB")) * slope[..., None] * np.array(light.tint)
    return np.asarray(lit.astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Rendering speed of the embedded world on one core.")
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=100, help="pictures of each way in a block")
    parser.add_argument("--size", type=int, default=64)
    given = parser.parse_args()
    scenes = Scenes("train", size=given.size)
    objects = [sprite.convert("RGBA") for sprite in sprites(0)]
    ways: dict[str, Callable[[int], object]] = {
        "picture": scenes.picture,
        "scene": scenes.scene,
        "plain Pillow": lambda index: plain(scenes.layout(index), given.size, objects),
    }
    rates = {name: np.empty(given.blocks) for name in ways}
    # The first block fills the caches and is not counted.
    for block in range(-1, given.blocks):
        for name, draw in ways.items():
            start = time.perf_counter()
            for index in range((block + 1) * given.pictures, (block + 2) * given.pictures):
                draw(index)
            if block >= 0:
                rates[name][block] = given.pictures / (time.perf_counter() - start)
    print(f"{given.size} px, {given.blocks} blocks of {given.pictures} pictures, split train")
    for name, rate in rates.items():
        speed, ratio = (
            bootstrap_interval(rate, median),
            bootstrap_interval(rate / rates["plain Pillow"], median),
        )
        print(
            f"{name:>14}: {speed.value:6.0f} [{speed.low:6.0f}, {speed.high:6.0f}] pictures/s,"
            f" {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] times plain Pillow"
        )


if __name__ == "__main__":
    main()
