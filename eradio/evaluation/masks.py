"""Masks from box prompts, read from any embedding by a SAM decoder."""

from collections.abc import Callable

import torch
from torch import Tensor

from eradio.interval import Interval, bootstrap_interval, mean

Decoder = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(maps [B, C, h, w], boxes [P, 4], owners [P], side) -> logits [P, side, side]: `SamTeacher.masks_of_boxes`."""


def box_masks(maps: Tensor, masks: Tensor, owners: Tensor, decoder: Decoder) -> Interval:
    """Mean IoU of masks decoded from each object's tight box.

    Args:
        maps: [B, C, h, w] embeddings: SAM's, or a student's SAM head's.
        masks: [P, H, H] bool, the true masks of objects, none of them empty.
        owners: [P] the row of `maps` in which each object is seen.
        decoder: turns embeddings and boxes into mask logits.

    Returns:
        IoU averaged over a picture's objects, then over pictures; 0 to 1, with its bootstrap interval over
        pictures.
    """
    logits = decoder(maps, boxes_of(masks), owners, masks.shape[-1])
    return _over_pictures(overlap(logits > 0, masks), owners)


def filled_boxes(masks: Tensor, owners: Tensor) -> Interval:
    """The same score for the answer "all of the box", which looks at no picture."""
    boxes = boxes_of(masks) * masks.shape[-1]
    places = torch.arange(masks.shape[-1]) + 0.5
    across = (places > boxes[:, 0:1]) & (places < boxes[:, 2:3])
    down = (places > boxes[:, 1:2]) & (places < boxes[:, 3:4])
    return _over_pictures(overlap(down[:, :, None] & across[:, None, :], masks), owners)


def boxes_of(masks: Tensor) -> Tensor:
    """[P, 4] tight boxes of [P, H, W] masks, none of them empty: left, top, right, bottom in sides, 0 to 1."""
    ends = []
    for axis in (1, 2):
        lines = masks.any(axis)
        size = lines.shape[1]
        first = lines.int().argmax(1)
        last = size - lines.flip(1).int().argmax(1)
        ends.append((first / size, last / size))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1)


def overlap(answer: Tensor, truth: Tensor) -> Tensor:
    """[P] intersection over union of [P, H, W] bool masks; 1 where both are empty."""
    union = (answer | truth).sum((1, 2))
    return torch.where(union > 0, (answer & truth).sum((1, 2)) / union.clamp(min=1), 1.0)


def _over_pictures(scores: Tensor, owners: Tensor) -> Interval:
    _, rows = torch.unique(owners, return_inverse=True)
    sums = torch.zeros(int(rows.max()) + 1, dtype=torch.float64).index_add_(0, rows, scores.double())
    return bootstrap_interval((sums / rows.bincount()).numpy(), mean)
