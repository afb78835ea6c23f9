"""The distillation losses of AM-RADIO (arXiv 2312.06709)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from eradio.distill.recipe import SpatialLoss
from eradio.features import Features

_SHORTEST = 1e-8


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine distance 1 - x·y / (|x| |y|) of vectors along the last axis.

    Args:
        student: [..., C].
        teacher: [..., C].
    """
    # Half the time of torch's cosine_similarity, which divides both sides element by element first.
    lengths = torch.linalg.vector_norm(student, dim=-1) * torch.linalg.vector_norm(teacher, dim=-1)
    cosine: Tensor = (student * teacher).sum(-1) / lengths.clamp_min(_SHORTEST)
    return 1 - cosine.mean()


def spatial_loss(student: Tensor, teacher: Tensor, weights: SpatialLoss) -> Tensor:
    """Cosine distance plus smooth-L1, 0.9 and 0.1 in the paper; maps are matched first.

    Args:
        student: [B, C, h, w].
        teacher: [B, C, h', w'].
        weights: of the two terms.
    """
    student, teacher = match_maps(student, teacher)
    student, teacher = student.movedim(1, -1), teacher.movedim(1, -1)
    smooth = F.smooth_l1_loss(student, teacher)
    return weights.cosine * cosine_loss(student, teacher) + weights.smooth_l1 * smooth


def match_maps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Resize two maps [B, C, h, w] bilinearly to the larger of their sizes, as the paper does."""
    size = (max(first.shape[2], second.shape[2]), max(first.shape[3], second.shape[3]))
    return _resized(first, size), _resized(second, size)


def distillation_losses(
    answers: dict[str, Features], targets: dict[str, Features], weights: SpatialLoss
) -> dict[str, Tensor]:
    """The loss of every head, by the name `teacher/summary` or `teacher/spatial`; their sum is minimised.

    Args:
        answers: the student's, through its adaptor heads, by teacher.
        targets: the teachers'.
        weights: of the spatial loss' terms.
    """
    losses = {}
    for name, target in targets.items():
        answer = answers[name]
        if target.summary is not None and answer.summary is not None:
            losses[f"{name}/summary"] = cosine_loss(answer.summary, target.summary)
        losses[f"{name}/spatial"] = spatial_loss(answer.spatial, target.spatial, weights)
    return losses


def _resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    if features.shape[2:] == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)
