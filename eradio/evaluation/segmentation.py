"""Semantic segmentation by a linear probe on frozen maps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, one_hot

from eradio.interval import Interval, bootstrap_interval

GROUPS = 8
_RIDGE = 1e-2
_CHUNK = 64


def grouped(semantic: Tensor, kinds: int, groups: int = GROUPS) -> Tensor:
    """Labels of few classes from labels of many: 0 stays the background, kind k becomes group k * groups // kinds + 1.

    A map of 8 by 8 tokens cannot tell 155 kinds apart pixel by pixel, and with so many classes hardly a picture
    speaks for each. The embedded world lists its kinds by theme (food, faces, birds, ..., things), so equal
    stretches of the list are classes with some meaning, balanced, and still need recognition, not just shape.

    Args:
        semantic: [N, H, W] 0 for the background, else kind + 1.
        kinds: their number.
        groups: the number of classes beside the background.
    """
    wide = semantic.long()
    return torch.where(wide > 0, (wide - 1) * groups // kinds + 1, 0)


def segmentation(train_maps: Tensor, train_labels: Tensor, maps: Tensor, labels: Tensor, classes: int) -> Interval:
    """Mean IoU of a ridge probe on standardised spatial features.

    The probe regresses each token's share of every class in closed form, all classes weighing the same however
    few tokens they fill; its logits are brought to the labels' size bilinearly, and the largest wins. Without
    equal weights a least-squares answer of many rare classes is the background. Closed form stands for the usual
    long gradient descent: no learning rate to tune for each network, one answer for given features, about a
    second for a thousand pictures.

    Args:
        train_maps: [M, C, h, w] frozen features.
        train_labels: [M, H, W] int, 0 to classes - 1.
        maps: [N, C, h, w] features of other pictures.
        labels: [N, H, W] int.
        classes: their number, the background among them.

    Returns:
        Intersection over union, summed over pictures, averaged over the classes that occur; 0 to 1, with its
        bootstrap interval over pictures.
    """
    middle = train_maps.float().mean((0, 2, 3), keepdim=True)
    spread = train_maps.float().std((0, 2, 3), keepdim=True).clamp(min=1e-6)
    weights = _ridge((train_maps.float() - middle) / spread, train_labels, classes)
    counts = np.concatenate(
        [
            _overlaps((part.float() - middle) / spread, truth, weights)
            for part, truth in zip(torch.split(maps, _CHUNK), torch.split(labels, _CHUNK), strict=True)
        ]
    )
    return bootstrap_interval(counts, _mean_iou)


def _ridge(maps: Tensor, labels: Tensor, classes: int) -> Tensor:
    """[C + 1, classes] double weights, the last row the bias."""
    grid = (maps.shape[-2], maps.shape[-1])
    shares = torch.cat(
        [
            adaptive_avg_pool2d(one_hot(part.long(), classes).permute(0, 3, 1, 2).float(), grid)
            for part in torch.split(labels, _CHUNK)
        ]
    )
    tokens = _with_bias(maps.permute(0, 2, 3, 1).flatten(0, 2)).double()
    targets = shares.permute(0, 2, 3, 1).flatten(0, 2).double()
    weighted = tokens * (targets / targets.sum(0).clamp(min=1)).sum(1, keepdim=True)
    products = weighted.T @ tokens / classes
    weights: Tensor = torch.linalg.solve(products + _RIDGE * torch.eye(len(products)), weighted.T @ targets / classes)
    return weights


def _overlaps(maps: Tensor, labels: Tensor, weights: Tensor) -> NDArray[np.float64]:
    """[N, classes, 2] pixels in the intersection and in the union of answer and truth, for each picture."""
    scores = _with_bias(maps.permute(0, 2, 3, 1)).double() @ weights
    full = interpolate(scores.permute(0, 3, 1, 2).float(), labels.shape[-2:], mode="bilinear")
    answer, truth = full.argmax(1).flatten(1), labels.long().flatten(1)
    classes = weights.shape[1]
    both = torch.zeros(len(maps), classes * classes)
    both.scatter_add_(1, truth * classes + answer, torch.ones(truth.shape))
    table = both.view(-1, classes, classes)
    hits = table.diagonal(dim1=1, dim2=2)
    return torch.stack([hits, table.sum(1) + table.sum(2) - hits], dim=2).double().numpy()


def _mean_iou(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = counts.sum(axis=1)
    hits, union = totals[..., 0], totals[..., 1]
    seen = union > 0
    ratio = np.divide(hits, union, out=np.zeros_like(hits), where=seen)
    return np.asarray(ratio.sum(axis=1) / seen.sum(axis=1))


def _with_bias(tokens: Tensor) -> Tensor:
    return torch.cat([tokens, torch.ones(*tokens.shape[:-1], 1)], dim=-1)
