"""Real pictures from which an engine learns the ranges of 8-bit integers."""

from pathlib import Path

from torch import Tensor

from eradio.distill.data import open_data, whole_pictures
from eradio.distill.recipe import FolderData, Recipe, ScenesData

_RENDERED = 256
"""Side at which scenes are drawn, in pixels, before they are brought to the resolution asked for."""


def calibration_pictures(folder: Path | None, resolution: int, count: int) -> Tensor:
    """Pictures of a folder, or of the embedded world: [count, 3, resolution, resolution] float32 in [0, 1].

    Raises:
        EradioError: the folder is missing, or holds no readable picture.
    """
    data = ScenesData() if folder is None else FolderData(path=folder)
    pictures, _ = open_data(Recipe(data=data, resolution=_RENDERED))
    return whole_pictures(pictures, resolution, count)
