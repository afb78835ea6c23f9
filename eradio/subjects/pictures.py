"""Real pictures from which an engine learns the ranges of 8-bit integers."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eradio.distill.data import crop_picture, open_data
from eradio.distill.recipe import FolderData, Recipe, ScenesData
from eradio.distill.schedule import Slot

_RENDERED = 256
"""Side at which scenes are drawn, in pixels, before they are brought to the resolution asked for."""


def calibration_pictures(folder: Path | None, resolution: int, count: int) -> Tensor:
    """Pictures of a folder, or of the embedded world: [count, 3, resolution, resolution] float32 in [0, 1].

    A folder with fewer pictures gives each more than once.

    Raises:
        EradioError: the folder is missing, or holds no readable picture.
    """
    data = ScenesData() if folder is None else FolderData(path=folder)
    pictures, _ = open_data(Recipe(data=data, resolution=_RENDERED))
    squares = [
        crop_picture(
            pictures.picture(index % len(pictures)),
            Slot(picture=index, left=0.0, top=0.0, side=1.0, mirrored=False),
            resolution,
        )
        for index in range(count)
    ]
    return torch.from_numpy(np.stack(squares)).float() / 255
