"""Where pictures come from: the embedded scenes, or a folder of the user's own."""

import errno
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from eradio.description import digest_of
from eradio.distill.recipe import FolderData, Recipe
from eradio.distill.schedule import Slot
from eradio.errors import EradioError
from eradio.scenes import Scenes

Pixels = NDArray[np.uint8]

# A picture of a large-format camera is no attack; four times as many pixels as Pillow takes without a warning.
Image.MAX_IMAGE_PIXELS = 1 << 29

# Formats that Pillow opens by running another program, or that hold no picture.
_NO_PICTURES = frozenset({"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"})

_PASSING = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})
"""What the system answers when it cannot read for now, whatever the file holds."""


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


class FolderPictures:
    """A list of picture files; one that cannot be read is replaced by its next readable neighbour.

    Args:
        root: the folder they are named relative to.
        files: the pictures.
        others: pictures of the same folder that take their place where none of `files` can be read.
    """

    def __init__(self, root: Path, files: Sequence[Path], others: Sequence[Path] = ()) -> None:
        self._root = root
        self._files = list(files)
        self._others = list(others)
        self._bad: set[Path] = set()
        stats = [(file.relative_to(root).as_posix(), file.stat()) for file in [*self._files, *self._others]]
        self.digest = digest_of([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])

    def __len__(self) -> int:
        return len(self._files)

    def picture(self, index: int) -> Pixels:
        """Picture `index` as [H, W, 3], or that of the next file that can be read.

        Raises:
            EradioError: no file of the folder can be read.
            OSError: the system failed to read, whatever the file holds.
        """
        count = len(self._files)
        neighbours = (self._files[(index + offset) % count] for offset in range(count))
        for file in chain(neighbours, self._others):
            if file not in self._bad:
                try:
                    return read_picture(file)
                except Exception as error:  # a decoder meets a hostile file with anything
                    self._note(file, error)
        raise self._none_readable()

    def unreadable(self) -> list[str]:
        """Names of the unreadable files met so far, relative to the folder."""
        return [_printable(file.relative_to(self._root)) for file in self._files if file in self._bad]

    def check(self) -> list[str]:
        """Open every file's header and return the names of those that are no pictures.

        Raises:
            EradioError: none is a picture, nor any that could take its place.
            OSError: the system failed to read, whatever the file holds.
        """
        for file in [*self._files, *self._others]:
            try:
                with _opened(file):
                    pass
            except Exception as error:
                self._note(file, error)
        if self._bad.issuperset([*self._files, *self._others]):
            raise self._none_readable()
        return self.unreadable()

    def _note(self, file: Path, error: Exception) -> None:
        """Remember a file as no picture; a failure that may pass would give each process substitutes of its own."""
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _PASSING):
            raise error
        self._bad.add(file)

    def _none_readable(self) -> EradioError:
        files = [*self._files, *self._others]
        names = ", ".join(_printable(file.relative_to(self._root)) for file in files[:3])
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return EradioError(f"No readable picture in {self._root}: not {names}{more}. Replace or remove the files.")


def _printable(path: Path) -> str:
    """A file's name for messages and records; bytes that are no text are written out."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def read_picture(path: Path) -> Pixels:
    """Decode one file to [H, W, 3], turned as its orientation tag says, transparency laid on grey.

    Raises:
        Exception: it cannot be read safely; which one is the decoder's choice.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            grey = Image.new("RGBA", upright.size, (128, 128, 128, 255))
            upright = Image.alpha_composite(grey, upright.convert("RGBA"))
        if upright.mode[0] in "IF":
            return _grey(np.asarray(upright, dtype=np.float64), 65535.0 if ";16" in upright.mode else None)
        return np.asarray(upright.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture file, refused if it would unpack into far more than it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            yield image


def _grey(values: NDArray[np.float64], full: float | None) -> Pixels:
    """A map [H, W] of more than 8 bits as a grey picture; where the format names no white, the values tell it."""
    most = float(values.max(initial=0.0))
    full = full or next((top for top in (1.0, 255.0, 65535.0) if most <= top), most)
    bytes_ = np.clip(values * (255.0 / full), 0, 255).round().astype(np.uint8)
    return np.repeat(bytes_[:, :, None], 3, axis=2)


def list_pictures(root: Path) -> list[Path]:
    """Every file below `root` whose ending names a picture format, in a fixed order.

    Raises:
        EradioError: there is no such folder, or no such file in it.
    """
    if not root.is_dir():
        raise EradioError(f"There is no folder {root}. Give the folder that holds your pictures.")
    formats = Image.registered_extensions()
    endings = {ending for ending, kind in formats.items() if kind in Image.OPEN and kind not in _NO_PICTURES}
    # The figures of a search that was run in the same folder are none of its pictures.
    found = list(root.rglob("*"))
    runs = {path.parent for path in found if path.name == "study.json"}
    pictures = (path for path in found if path.suffix.lower() in endings and path.is_file())
    files = sorted(path for path in pictures if runs.isdisjoint(path.parents))
    if not files:
        raise EradioError(f"The folder {root} holds no picture file (png, jpg, webp, tif, ...). Give another folder.")
    return files


def open_data(recipe: Recipe) -> tuple[Dataset, Dataset]:
    """Training and validation pictures of a recipe.

    A folder gives a fifth of its files, chosen by their names, to validation; a single picture serves both.

    Raises:
        EradioError: the folder is missing, or holds no picture.
    """
    if not isinstance(recipe.data, FolderData):
        size, seed = recipe.largest(), recipe.data.seed
        other = 2**31 - 1 - seed
        taught = Scenes("train", size=size, seed=seed), Scenes("single-train", size=size, seed=seed)
        kept = Scenes("val", size=size, seed=seed), Scenes("single-train", size=size, seed=other)
        return Alternating(taught), Alternating(kept)
    root = recipe.data.path
    files = list_pictures(root)
    order = random.Random(recipe.seed).sample(files, len(files))
    held_out = len(files) // 5 or 1
    train = sorted(order[held_out:]) or files
    rest = sorted(order[:held_out])
    return FolderPictures(root, train, rest), FolderPictures(root, rest, train)


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
