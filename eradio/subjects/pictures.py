"""Real pictures from which an engine learns the ranges of 8-bit integers."""

from pathlib import Path

from torch import Tensor

from eradio.distill.data import open_data, whole_pictures
from eradio.distill.recipe import FolderData, Partition, Recipe, ScenesData
from eradio.profile.target import Target

_CALIBRATION_PICTURES = 64
_RENDERED = 256
"""Side at which scenes are drawn, in pixels, before they are brought to the resolution asked for."""


def calibration_for(target: Target, folder: Path | None) -> Tensor | None:
    """The pictures that a target needs to be calibrated on; None if its precision needs none.

    Raises:
        EradioError: see `calibration_pictures`.
    """
    if target.precision != "int8":
        return None
    return calibration_pictures(folder, target.resolution, max(_CALIBRATION_PICTURES, target.batch))


def calibration_pictures(folder: Path | None, resolution: int, count: int) -> Tensor:
    """Pictures of a folder, or of the embedded world: [count, 3, resolution, resolution] float32 in [0, 1].

    Raises:
        EradioError: the folder is missing, or holds no readable picture.
    """
    data = ScenesData() if folder is None else FolderData(path=folder)
    pictures, _ = open_data(Recipe(data=data, partitions=(Partition(resolution=(_RENDERED,)),)))
    return whole_pictures(pictures, resolution, count)
