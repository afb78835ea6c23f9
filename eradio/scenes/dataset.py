"""The embedded world as a data set."""

from dataclasses import dataclass

import numpy as np
import PIL
from numpy.typing import NDArray

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.scenes import render
from eradio.scenes.captions import caption
from eradio.scenes.kinds import atlas_digest
from eradio.scenes.layout import Layout, lay_out
from eradio.scenes.splits import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Scene:
    """One sample with its labels.

    Attributes:
        picture: [H, W, 3] uint8.
        caption: the picture in words.
        kinds: the objects' indices into KINDS, in the caption's order.
        masks: [objects, H, W] bool, in the same order; what can be seen of each, so no two overlap.
        semantic: [H, W] uint8: 0 for the background, else the kind's index plus 1.
    """

    picture: NDArray[np.uint8]
    caption: str
    kinds: tuple[int, ...]
    masks: NDArray[np.bool_]
    semantic: NDArray[np.uint8]


class Scenes:
    """Endless pictures of one to four objects, each a pure function of (split, seed, index).

    - `train`: nine families of background, and no held-out pair or relation (see `eradio.scenes.splits`).
    - `val`: the same distribution, other pictures.
    - `test`: five other families of background; each picture of two or more objects shows a held-out pair, or
      another pair in its held-out relation.
    - `single`: the backgrounds of `test`, exactly one large object, of kind `index % len(KINDS)`.
    - `single-train`: the same with the backgrounds of `train`: a gallery for k-NN, a source for probes.
    """

    def __init__(self, split: str = "train", size: int = 64, seed: int = 0) -> None:
        """Describe a data set; nothing is drawn yet.

        Args:
            split: one of SPLITS.
            size: side of the pictures in pixels, 16 to 512.
            seed: another seed gives other pictures of the same distribution.

        Raises:
            EradioError: there is no such split, or the size is out of range.
        """
        if split not in SPLITS:
            known = ", ".join(SPLITS)
            raise EradioError(f"The embedded world has no split '{split}'. Choose one of {known}.")
        if not 16 <= size <= 512:
            raise EradioError(f"A picture's side of {size} pixels is out of range. Choose 16 to 512.")
        self.split: Split = split
        self.size = size
        self.seed = seed

    @property
    def digest(self) -> str:
        """Identity of all pictures: stored objects, rendering, arguments and drawing libraries."""
        return digest_of(
            {
                "atlas": atlas_digest(),
                "rendering": render.VERSION,
                "split": self.split,
                "size": self.size,
                "seed": self.seed,
                "pillow": PIL.__version__.split(".")[0],
                "numpy": np.__version__.split(".")[0],
            }
        )

    def __len__(self) -> int:
        """The pictures do not end; this is the largest length that every consumer can hold."""
        return 2**31 - 1

    def layout(self, index: int) -> Layout:
        """What stands where in a sample.

        Raises:
            IndexError: the index is negative or not below the length.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0 .. {len(self) - 1}")
        return lay_out(self.split, self.seed, index)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """[size, size, 3] uint8; nothing else is computed."""
        return render.picture(self.layout(index), self.size)

    def scene(self, index: int) -> Scene:
        """The picture with its labels."""
        layout = self.layout(index)
        seen = render.masks(layout, self.size)
        return Scene(
            picture=render.picture(layout, self.size),
            caption=caption(layout),
            kinds=tuple(placed.kind for placed in layout.objects),
            masks=seen,
            semantic=render.semantic(layout, seen),
        )
