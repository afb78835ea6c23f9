"""Training pictures: which sample stands in slot k of step s is a pure function of (seed, s, k)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eradio.description import digest_of
from eradio.scenes import Scene, Scenes
from eradio.scenes.captions import caption
from eradio.scenes.render import picture

SIDE = 64


class Stream:
    """An endless sequence of batches: the splits take turns, slot by slot.

    By default scenes of one to four objects stand in even slots, single objects in odd ones.
    """

    def __init__(self, seed: int, batch: int, splits: tuple[str, ...] = ("train", "single-train")) -> None:
        self.words = f"embedded world, {' and '.join(splits)}"
        self._sources = [Scenes(split, size=SIDE, seed=seed) for split in splits]
        self._batch = batch

    @property
    def digest(self) -> str:
        """Identity of all pictures of the stream."""
        return digest_of([source.digest for source in self._sources])

    def pictures(self, step: int) -> Tensor:
        """[batch, 3, SIDE, SIDE] in [0, 1]."""
        return as_tensor([source.picture(index) for source, index in self._slots(step)])

    def swapped(self, step: int) -> Tensor:
        """The same objects in the same places as in `pictures`, each before the next slot's background and light."""
        layouts = [source.layout(index) for source, index in self._slots(step)]
        others = layouts[1:] + layouts[:1]
        return as_tensor(
            [
                picture(replace(layout, texture=other.texture, light=other.light), SIDE)
                for layout, other in zip(layouts, others, strict=True)
            ]
        )

    def captioned(self, step: int) -> tuple[Tensor, list[str]]:
        """Pictures and their captions."""
        return self.pictures(step), [caption(source.layout(index)) for source, index in self._slots(step)]

    def scenes(self, step: int) -> list[Scene]:
        """Pictures with all their labels."""
        return [source.scene(index) for source, index in self._slots(step)]

    def _slots(self, step: int) -> list[tuple[Scenes, int]]:
        return [(self._sources[slot % len(self._sources)], step * self._batch + slot) for slot in range(self._batch)]


def as_tensor(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """[B, 3, H, W] single precision in [0, 1] from B pictures [H, W, 3] of bytes."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(255).contiguous()


def draws(seed: int, step: int) -> torch.Generator:
    """The random numbers of a step."""
    return torch.Generator().manual_seed(int(np.random.default_rng([seed, step]).integers(2**62)))
