"""Views of pictures for self-distillation: crops, mirrors and changes of colour, many at a time."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

_LUMA = torch.tensor([0.299, 0.587, 0.114])


def view(pictures: Tensor, side: int, areas: tuple[float, float], random: Generator) -> Tensor:
    """A random crop of each picture, perhaps mirrored, in other colours.

    Args:
        pictures: [B, 3, H, W] in [0, 1].
        side: of the views in pixels.
        areas: least and greatest part of the picture's area.
        random: where all chance comes from.

    Returns:
        [B, 3, side, side], about in [0, 1].
    """
    return recolour(crop(pictures, side, areas, random), random)


def crop(pictures: Tensor, side: int, areas: tuple[float, float], random: Generator) -> Tensor:
    """A crop of each picture with a side ratio of 3/4 to 4/3, mirrored half of the time."""
    count = len(pictures)
    area = _between(count, areas, random)
    ratio = _between(count, (math.log(3 / 4), math.log(4 / 3)), random).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    across = (1 - width) * _between(count, (-1, 1), random)
    down = (1 - height) * _between(count, (-1, 1), random)
    mirror = torch.randint(0, 2, (count,), generator=random) * 2 - 1
    zero = torch.zeros(count)
    rows = [torch.stack([width * mirror, zero, across], 1), torch.stack([zero, height, down], 1)]
    grid = affine_grid(torch.stack(rows, 1), [count, 3, side, side], align_corners=False)
    return grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def recolour(pictures: Tensor, random: Generator) -> Tensor:
    """Random hue, saturation, contrast and brightness; one in five pictures turns grey."""
    count = len(pictures)
    grey = (pictures * _LUMA.view(1, 3, 1, 1)).sum(1, keepdim=True)
    saturation = _between(count, (0.4, 1.4), random)
    saturation = saturation * (torch.rand(count, generator=random) > 0.2)
    turned = torch.einsum("bij,bjhw->bihw", _hue(_between(count, (-0.1, 0.1), random)), pictures - grey)
    pictures = grey + saturation.view(-1, 1, 1, 1) * turned
    middle = grey.mean((1, 2, 3), keepdim=True)
    contrast = _between(count, (0.6, 1.4), random).view(-1, 1, 1, 1)
    brightness = _between(count, (0.6, 1.4), random).view(-1, 1, 1, 1)
    return (contrast * (pictures - middle) + brightness * middle).clamp(0, 1)


def patch_masks(count: int, grid: int, share: tuple[float, float], random: Generator) -> Tensor:
    """[count, grid, grid] bool: each a random part of the patches, between the two shares."""
    parts = _between(count, share, random)
    order = torch.rand(count, grid * grid, generator=random).argsort(1).argsort(1)
    return (order < (parts * grid * grid).round()[:, None]).view(count, grid, grid)


def _hue(turns: Tensor) -> Tensor:
    """[B, 3, 3] rotations about the grey axis by parts of a full turn (Rodrigues' formula)."""
    angle = (2 * math.pi * turns).view(-1, 1, 1)
    third = 1 / 3
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) * math.sqrt(third)
    return angle.cos() * torch.eye(3) + angle.sin() * across + (1 - angle.cos()) * torch.full((3, 3), third)


def _between(count: int, ends: tuple[float, float], random: Generator) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * torch.rand(count, generator=random)
