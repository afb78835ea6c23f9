"""At which side a teacher looks at the pictures of a partition."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from eradio.distill.teachers.base import Teacher, resampled
from eradio.distill.teachers.spec import View
from eradio.features import Features

STRIDE = 16
"""Pixels of a picture for each of which a teacher that takes them as they are has a place of its map."""


def seen(teacher: Teacher, pictures: Tensor, view: View) -> Features:
    """What a teacher says of pictures [B, 3, R, R] in [0, 1].

    Raises:
        EradioError: it cannot look at them so.
    """
    if view == "mosaic":
        return _of_mosaic(teacher, pictures)
    side = own_side(teacher, pictures.shape[3]) if view == "pictures" else None
    found: Features = teacher(pictures, side)
    return found


def own_side(teacher: Teacher, side: int) -> int:
    """The side in pixels at which a teacher has one place of its map for each 16 pixels of a picture.

    So a teacher of patches of 14 looks at 378 pixels where the student sees 432, as in AM-RADIO. Patches of less than
    11 pixels give two places or more, those above 16 one for each patch.
    """
    places = side / STRIDE * max(1, round(STRIDE / teacher.patch)) if teacher.patch <= STRIDE else side / teacher.patch
    return max(1, round(places)) * teacher.patch


def places(teacher: Teacher, side: int, view: View) -> int:
    """How many places of its map a teacher has across a picture of a side."""
    if view == "mosaic":
        return teacher.resolution // teacher.patch // tiles(teacher, side)
    return (own_side(teacher, side) if view == "pictures" else teacher.resolution) // teacher.patch


def tiles(teacher: Teacher, side: int) -> int:
    """How many pictures of a side stand in a row of a teacher's mosaic."""
    return max(1, teacher.resolution // side)


def _of_mosaic(teacher: Teacher, pictures: Tensor) -> Features:
    """The map of each picture, cut out of that of its mosaic; the last mosaic is filled up with black.

    Tiles are whole places of the map. What does not divide stays black at the right and below.
    """
    across = tiles(teacher, pictures.shape[3])
    places = teacher.resolution // teacher.patch // across
    small = resampled(pictures, places * teacher.patch)
    count = len(small)
    small = torch.cat([small, small.new_zeros(-count % across**2, *small.shape[1:])])
    rows = small.reshape(-1, across, across, *small.shape[1:]).permute(0, 3, 1, 4, 2, 5)
    canvas = rows.flatten(4, 5).flatten(2, 3)
    left = teacher.resolution - canvas.shape[3]
    found = teacher(pad(canvas, (0, left, 0, left))).spatial[:, :, : across * places, : across * places]
    cut = found.reshape(*found.shape[:2], across, places, across, places)
    return Features(None, cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)[:count])
