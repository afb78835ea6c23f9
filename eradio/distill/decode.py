"""From the bytes of a picture file to pixels, whoever made the file."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

# A picture of a large-format camera is no attack; four times as many pixels as Pillow takes without a warning.
Image.MAX_IMAGE_PIXELS = 1 << 29

# Formats that Pillow opens by running another program, or that hold no picture.
_NO_PICTURES = frozenset({"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"})


def endings() -> frozenset[str]:
    """Those of files that hold pictures, with their dot, in lower case."""
    known = Image.registered_extensions()
    return frozenset(ending for ending, kind in known.items() if kind in Image.OPEN and kind not in _NO_PICTURES)


def read_picture(file: Path | BinaryIO) -> Pixels:
    """Decode one file to [H, W, 3], turned as its orientation tag says, transparency laid on grey.

    Raises:
        Exception: it cannot be read safely; which one is the decoder's choice.
    """
    with opened(file) as image:
        return pixels_of(image)


def pixels_of(image: Image.Image) -> Pixels:
    """The same of a picture that is open already."""
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        grey = Image.new("RGBA", upright.size, (128, 128, 128, 255))
        upright = Image.alpha_composite(grey, upright.convert("RGBA"))
    if upright.mode[0] in "IF":
        return _grey(np.asarray(upright, dtype=np.float64), 65535.0 if ";16" in upright.mode else None)
    return np.asarray(upright.convert("RGB"))


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[Image.Image]:
    """A picture file, refused if it would unpack into far more than it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            if image.format in _NO_PICTURES:
                raise ValueError(f"a {image.format} file is no picture")
            yield image


def _grey(values: NDArray[np.float64], full: float | None) -> Pixels:
    """A map [H, W] of more than 8 bits as a grey picture; where the format names no white, the values tell it."""
    most = float(values.max(initial=0.0))
    full = full or next((top for top in (1.0, 255.0, 65535.0) if most <= top), most)
    bytes_ = np.clip(values * (255.0 / full), 0, 255).round().astype(np.uint8)
    return np.repeat(bytes_[:, :, None], 3, axis=2)
