"""Nearest-neighbour classification by summary features."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from eradio.interval import Interval, bootstrap_interval, mean

NEIGHBOURS = 20
TEMPERATURE = 0.07


def knn(
    gallery: Tensor, gallery_labels: Tensor, queries: Tensor, labels: Tensor, neighbours: int = NEIGHBOURS
) -> Interval:
    """Top-1 accuracy by the vote of cosine neighbours (Wu et al., 2018, arXiv 1805.01978, section 3.4).

    Features are brought to length one; each of the nearest `neighbours` (20) votes with exp(similarity / 0.07).

    Args:
        gallery: [G, C] features of pictures with known labels.
        gallery_labels: [G] int.
        queries: [N, C] features of the pictures to classify.
        labels: [N] int, their true labels.
        neighbours: how many vote; all of the gallery if it is smaller.

    Returns:
        The share of right answers, 0 to 1, with its bootstrap interval over the queries.
    """
    similarity = normalize(queries.float(), dim=1) @ normalize(gallery.float(), dim=1).T
    nearest = similarity.topk(min(neighbours, len(gallery)), dim=1)
    votes = torch.zeros(len(queries), int(gallery_labels.max()) + 1)
    votes.scatter_add_(1, gallery_labels[nearest.indices].long(), (nearest.values / TEMPERATURE).exp())
    right = votes.argmax(1) == labels
    return bootstrap_interval(right.double().numpy(), mean)


def histograms(pictures: Tensor, bins: int = 4) -> Tensor:
    """[N, bins ** 3] colour histograms of [N, 3, H, W] pictures in [0, 1]: a baseline's features."""
    levels = (pictures * bins).long().clamp(max=bins - 1)
    codes = (levels[:, 0] * bins + levels[:, 1]) * bins + levels[:, 2]
    counts = torch.zeros(len(pictures), bins**3)
    return counts.scatter_add_(1, codes.flatten(1), torch.ones(codes.flatten(1).shape))
