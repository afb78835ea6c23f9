"""Where pictures come from: the embedded scenes, or the user's own."""

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eradio.description import digest_of
from eradio.distill.decode import Pixels
from eradio.distill.folder import FolderPictures, list_pictures
from eradio.distill.hub_data import HubPictures
from eradio.distill.order import Stretches
from eradio.distill.readable import Readable, Source
from eradio.distill.recipe import FolderData, HubData, Recipe, ShardsData
from eradio.distill.schedule import Slot
from eradio.distill.shards import Shards, list_shards
from eradio.scenes import Scenes


class Dataset(Protocol):
    """Pictures by number; the same number gives the same picture wherever and whenever it is asked for."""

    @property
    def digest(self) -> str:
        """Changes whenever any picture may have changed."""
        ...

    def __len__(self) -> int: ...

    def picture(self, index: int) -> Pixels:
        """Picture `index` as [H, W, 3]."""
        ...


class Alternating:
    """Pictures of several endless data sets in turn."""

    def __init__(self, sources: Sequence[Dataset]) -> None:
        self._sources = tuple(sources)
        self.digest = digest_of([source.digest for source in self._sources])

    def __len__(self) -> int:
        return min(len(source) for source in self._sources)

    def picture(self, index: int) -> Pixels:
        """Picture `index // n` of source `index % n`, as [H, W, 3]."""
        place, source = divmod(index, len(self._sources))
        return self._sources[source].picture(place)


def stretches_of(data: Dataset) -> Stretches | None:
    """How a data set's pictures are stored together, where they are stored at all."""
    return data.stretches if isinstance(data, Readable) else None


def open_data(recipe: Recipe) -> tuple[Dataset, Dataset]:
    """Training and validation pictures of a recipe.

    What has no validation of its own gives some to it, a fifth of all but no more than is asked for: a folder files
    that are chosen by their names, a single shard or a data set of the hub its last ones; several shards give the last
    shard. A single picture serves both.

    Raises:
        EradioError: the pictures are missing.
    """
    data = recipe.data
    if isinstance(data, FolderData):
        return _folder(data, recipe)
    if isinstance(data, ShardsData):
        names = list_shards(data.path)
        if data.validation is not None:
            both = Shards(names), Shards(list_shards(data.validation))
            return tuple(_whole(one, data.unreadable) for one in both)  # type: ignore[return-value]
        shards = Shards(names)
        kept = shards.sizes[-1] if len(shards.sizes) > 1 else _held_back(len(shards), recipe)
        return _divided(shards, kept, data.unreadable, shards.sizes)
    if isinstance(data, HubData):
        rows = HubPictures(data.name, data.split, data.column)
        if data.validation is None:
            return _divided(rows, _held_back(len(rows), recipe), data.unreadable, [len(rows)])
        others = HubPictures(data.name, data.validation, data.column)
        return _whole(rows, data.unreadable), _whole(others, data.unreadable)
    size, seed = recipe.largest(), data.seed
    other = 2**31 - 1 - seed
    taught = Scenes("train", size=size, seed=seed), Scenes("single-train", size=size, seed=seed)
    kept_back = Scenes("val", size=size, seed=seed), Scenes("single-train", size=size, seed=other)
    return Alternating(taught), Alternating(kept_back)


def _folder(data: FolderData, recipe: Recipe) -> tuple[Dataset, Dataset]:
    root = data.path
    files = list_pictures(root)
    order = random.Random(recipe.seed).sample(files, len(files))
    held_out = _held_back(len(files), recipe)
    train = sorted(order[held_out:]) or files
    rest = sorted(order[:held_out])
    taught = FolderPictures(root, train, rest, data.unreadable)
    return taught, taught.turned()


def _held_back(count: int, recipe: Recipe) -> int:
    """How many of all pictures validation gets where it has none of its own."""
    return max(1, min(count // 5, recipe.validation))


def _whole(source: Source, unreadable: float) -> Readable:
    stretches = Stretches(source.sizes) if isinstance(source, Shards) else None
    return Readable(source, range(len(source)), (), unreadable, stretches)


def _divided(source: Source, kept: int, unreadable: float, sizes: Sequence[int]) -> tuple[Readable, Readable]:
    """All but the last `kept` pictures, and those; a source too small for that serves both."""
    count = len(source)
    kept = min(kept, count - 1)
    if kept == 0:
        return _whole(source, unreadable), _whole(source, unreadable)
    stretches = Stretches(sizes[:-1] if len(sizes) > 1 else (count - kept,))
    taught = Readable(source, range(count - kept), range(count - kept, count), unreadable, stretches)
    return taught, taught.turned()


def crop_picture(pixels: Pixels, slot: Slot, resolution: int) -> Pixels:
    """The slot's square of a picture [H, W, 3], resized with antialiasing to [3, resolution, resolution]."""
    height, width = pixels.shape[:2]
    square = min(height, width)
    left = (width - square) / 2 + slot.left * square
    top = (height - square) / 2 + slot.top * square
    side = slot.side * square
    box = (left, top, min(left + side, width), min(top + side, height))
    image = Image.fromarray(pixels)
    if (height, width) != (resolution, resolution) or slot.side < 1:
        image = image.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)
    result = np.asarray(image)
    return np.ascontiguousarray((result[:, ::-1] if slot.mirrored else result).transpose(2, 0, 1))


def whole_pictures(data: Dataset, resolution: int, count: int) -> Tensor:
    """The central squares of the first pictures: [count, 3, resolution, resolution] float32 in [0, 1].

    A data set with fewer pictures gives each more than once.

    Raises:
        EradioError: none can be read.
    """
    squares = [
        crop_picture(
            data.picture(index % len(data)),
            Slot(picture=index, left=0.0, top=0.0, side=1.0, mirrored=False),
            resolution,
        )
        for index in range(count)
    ]
    return torch.from_numpy(np.stack(squares)).float() / 255
