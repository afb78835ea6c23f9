"""Sides of a map, making them fit (rounding, padding, resizing), and cutting windows."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Side = tuple[int, int]


def side_of(x: Tensor) -> Side:
    """Height and width of [B, C, H, W] as plain numbers, so that a trace records no arithmetic on them."""
    return int(x.shape[2]), int(x.shape[3])


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple that is not below `length`."""
    return -(-length // multiple) * multiple


def pad_to_multiple(x: Tensor, multiple: Side) -> Tensor:
    """Zeros below and to the right of [B, C, H, W] until its sides are multiples."""
    height, width = side_of(x)
    below, right = round_up(height, multiple[0]) - height, round_up(width, multiple[1]) - width
    return F.pad(x, (0, right, 0, below)) if below or right else x


def crop(x: Tensor, side: Side) -> Tensor:
    """The upper left [B, C, *side] of a map."""
    return x if side_of(x) == side else x[:, :, : side[0], : side[1]]


class Resize(nn.Module):
    """Nearest resizing to any side."""

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """[B, C, H, W] to [B, C, *side]; the tensor itself where it has that side already."""
        return x if side_of(x) == side else F.interpolate(x, size=side, mode="nearest")


class FixedResize(nn.Module):
    """Nearest resizing between two sides, by the positions that torch takes.

    Runtimes round the positions of nearest resizing each in their own way; picking them by number leaves no choice.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, before: Side, after: Side, device: torch.device) -> None:
        super().__init__()
        for name, source, length in zip(("rows", "columns"), before, after, strict=True):
            places = F.interpolate(torch.arange(float(source))[None, None], size=length, mode="nearest")[0, 0]
            self.register_buffer(name, places.long().to(device))

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """[B, C, *before] to [B, C, *after]."""
        return x.index_select(2, self.rows).index_select(3, self.columns)


class Pool(nn.Module):
    """Mean of squares of `ratio` positions a side: average pooling, which some runtimes refuse behind wide padding."""

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H / ratio, W / ratio]; the sides must be multiples."""
        height, width = side_of(x)
        ratio, channels = self.ratio, int(x.shape[1])
        squares = x.reshape(-1, channels, height // ratio, ratio, width // ratio, ratio)
        return squares.mean(dim=(3, 5))


def to_windows(x: Tensor, window: Side) -> Tensor:
    """Cut a map [B, C, H, W] into windows [B * windows, positions, C]; the sides must be multiples."""
    width = int(x.shape[1])
    rows, columns = (side // part for side, part in zip(side_of(x), window, strict=True))
    cells = x.permute(0, 2, 3, 1).reshape(-1, rows, window[0], columns, window[1], width)
    return cells.transpose(2, 3).reshape(-1, window[0] * window[1], width)


def from_windows(tokens: Tensor, window: Side, side: Side) -> Tensor:
    """Put windows [B * windows, positions, C] back together as a map [B, C, H, W]: undoes `to_windows`."""
    rows, columns = side[0] // window[0], side[1] // window[1]
    width = int(tokens.shape[2])
    cells = tokens.reshape(-1, rows, columns, window[0], window[1], width)
    return cells.transpose(2, 3).reshape(-1, *side, width).permute(0, 3, 1, 2)
