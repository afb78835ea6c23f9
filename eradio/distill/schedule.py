"""What stands in each slot of each step, and the learning rate: pure functions of the recipe and an index.

Neither the micro-batch nor the number of processes nor a restart can shift them, which is what makes a cache
of teacher targets exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eradio.distill.order import Stretches, shown_at
from eradio.distill.recipe import Crop, Optimiser, Partition

_ENDLESS = 1 << 24
"""Above this many pictures, scenes drawn for the asking, a data set is sampled without epochs."""


@dataclass(frozen=True)
class Slot:
    """One sample: which picture, which square of it, mirrored or not.

    `left`, `top` and `side` are shares of the picture's central square.
    """

    picture: int
    left: float
    top: float
    side: float
    mirrored: bool


def slot(
    seed: int,
    step: int,
    place: int,
    *,
    batch: int,
    pictures: int,
    crop: Crop,
    partition: int = 0,
    stretches: Stretches | None = None,
) -> Slot:
    """The sample in slot `place` (0 to batch - 1) of step `step` of a data set of `pictures` pictures.

    Each epoch shows every picture once, in an order of its own; batches run on across epochs. Partitions go through
    the same pictures in other orders. How pictures are stored together (`stretches`) decides which of them an epoch
    shows near one another.
    """
    position = step * batch + place
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, partition, position, 0]))
    side = float(np.sqrt(draw.uniform(crop.smallest, 1.0)))
    left, top = draw.uniform(0.0, 1.0 - side, size=2)
    mirrored = crop.flip and bool(draw.random() < 0.5)
    if stretches is None and pictures > _ENDLESS:
        picture = int(draw.integers(pictures))
    else:
        epoch, within = divmod(position, pictures)
        picture = shown_at(seed, epoch, within, stretches or Stretches((pictures,)), partition)
    return Slot(picture, float(left), float(top), side, mirrored)


def side_at(seed: int, step: int, partition: Partition, number: int) -> int:
    """The side in pixels of a partition's pictures at a step: drawn from those it has then (arXiv 2601.17237).

    Args:
        seed: of the recipe.
        step: from 0.
        partition: whose pictures.
        number: its place in the recipe.
    """
    sides = partition.sides(step)
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, number, step, 1]))
    return sides[int(draw.integers(len(sides)))]


def drawn_side(seed: int, step: int, number: int, sides: Sequence[int]) -> int:
    """The side in pixels at which the student looks at a partition's pictures once more; see `Alignment`."""
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, number, step, 3]))
    return sides[int(draw.integers(len(sides)))]


def offsets(seed: int, step: int, number: int, viewers: int, most: int) -> list[tuple[int, int]]:
    """Where each viewer's square begins in what a step shows of a partition, in patches down and to the right.

    Student and teachers see squares of their own, so that none can be imitated in what it says of fixed places
    (C-RADIOv4, arXiv 2601.17237, shift equivariance).

    Args:
        seed: of the recipe.
        step: from 0.
        number: the partition's place in the recipe.
        viewers: how many, the student first.
        most: the largest offset.
    """
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, number, step, 2]))
    return [(int(down), int(right)) for down, right in draw.integers(most + 1, size=(viewers, 2))]


def whole(picture: int) -> Slot:
    """The central square of a picture, unmirrored: what validation sees."""
    return Slot(picture, 0.0, 0.0, 1.0, False)


def decay_start(steps: int, optimiser: Optimiser) -> int:
    """First step of a rung's decay; up to it every rung shares one trunk. A cosine shares nothing."""
    return 0 if optimiser.schedule == "cosine" else steps - round(steps * optimiser.decay)


def learning_rate(step: int, steps: int, optimiser: Optimiser) -> float:
    """Rate at `step` (from 0) of a rung of `steps`.

    `stable`: linear warm-up, stable, linear decay to nearly zero. Up to `decay_start` it does not depend on the rung,
    so a longer rung continues the trunk of a shorter one (warm-up-stable-decay, arXiv 2404.06395). `cosine`: each of
    `restarts` + 1 equal periods warms up and falls along half a cosine (SGDR, arXiv 1608.03983, with equal periods).
    """
    if optimiser.schedule == "cosine":
        period = steps / (optimiser.restarts + 1)
        within = step % period
        warm = min(1.0, (within + 1) / (optimiser.warmup + 1))
        return optimiser.learning_rate * warm * (1 + math.cos(math.pi * within / period)) / 2
    warm = min(1.0, (step + 1) / (optimiser.warmup + 1))
    start = decay_start(steps, optimiser)
    left = 1.0 if step < start else (steps - step) / (steps - start + 1)
    return optimiser.learning_rate * warm * left
