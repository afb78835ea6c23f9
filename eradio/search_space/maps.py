"""Sides of a map, and making them fit: rounding, padding, resizing."""

from torch import Tensor
from torch.nn import functional as F

Side = tuple[int, int]


def side_of(x: Tensor) -> Side:
    """Height and width of [B, C, H, W] as plain numbers, so that a trace records no arithmetic on them."""
    return int(x.shape[2]), int(x.shape[3])


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple that is not below `length`."""
    return -(-length // multiple) * multiple


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Zeros below and to the right of [B, C, H, W] until both sides are multiples."""
    height, width = side_of(x)
    below, right = round_up(height, multiple) - height, round_up(width, multiple) - width
    return F.pad(x, (0, right, 0, below)) if below or right else x


def crop(x: Tensor, side: Side) -> Tensor:
    """The upper left [B, C, *side] of a map."""
    return x if side_of(x) == side else x[:, :, : side[0], : side[1]]


def resize(x: Tensor, side: Side) -> Tensor:
    """[B, C, H, W] to [B, C, *side], nearest; the tensor itself where it has that side already."""
    return x if side_of(x) == side else F.interpolate(x, size=side, mode="nearest")
