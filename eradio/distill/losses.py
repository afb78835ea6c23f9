"""What a student is told of its distance to a teacher.

The terms are those of AM-RADIO (arXiv 2312.06709, section 3), PHI-S (arXiv 2410.01680, Table 13) and C-RADIOv4
(arXiv 2601.17237); a recipe says how much each counts.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from eradio.distill.recipe import SpatialLoss, SummaryLoss
from eradio.errors import EradioError
from eradio.features import Features

_SHORTEST = 1e-8

_STEEPEST = 1e-6
"""So near to 1 or -1 a cosine gives no gradient: that of the angle is without bound there."""


def cosines(student: Tensor, teacher: Tensor) -> Tensor:
    """x·y / (|x| |y|) of vectors along the last axis: [..., C] and [..., C] to [...]."""
    # Half the time of torch's cosine_similarity, which divides both sides element by element first.
    lengths = torch.linalg.vector_norm(student, dim=-1) * torch.linalg.vector_norm(teacher, dim=-1)
    cosine: Tensor = (student * teacher).sum(-1) / lengths.clamp_min(_SHORTEST)
    return cosine


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine distance 1 - x·y / (|x| |y|) of vectors along the last axis.

    Args:
        student: [..., C].
        teacher: [..., C].
    """
    return 1 - cosines(student, teacher).mean()


def angles(student: Tensor, teacher: Tensor) -> Tensor:
    """Angle in radians between vectors along the last axis: [..., C] and [..., C] to [...], from 0 to pi."""
    return torch.acos(cosines(student, teacher).clamp(_STEEPEST - 1, 1 - _STEEPEST))


def angle_loss(student: Tensor, teacher: Tensor, dispersion: float) -> Tensor:
    """Mean of angle(x, y)² / Disp (C-RADIOv4, arXiv 2601.17237, the balanced summary loss).

    Teachers whose summaries lie in a narrow cone would count for little by their cosines; divided by the cone's
    width all count alike.

    Args:
        student: [..., C].
        teacher: [..., C].
        dispersion: see `dispersion_of`, in radians².
    """
    return (angles(student, teacher) ** 2).mean() / dispersion


def dispersion_of(summaries: Tensor) -> float:
    """Disp = E[angle(y, mean direction)²] in radians² of a teacher's summaries [N, C] (arXiv 2601.17237)."""
    units = F.normalize(summaries.double(), dim=-1)
    return float((angles(units, units.mean(0).expand_as(units)) ** 2).mean())


def summary_loss(student: Tensor, teacher: Tensor, weights: SummaryLoss, dispersion: float = 1.0) -> Tensor:
    """Weighted sum of cosine distance, angle, squared error and smooth-L1.

    Args:
        student: [B, C].
        teacher: [B, C].
        weights: of the terms.
        dispersion: of the teacher, for the angle.
    """
    loss = _common(student, teacher, weights)
    return loss + weights.angle * angle_loss(student, teacher, dispersion) if weights.angle else loss


class Shift(NamedTuple):
    """How far a square of a picture begins below and to the right of another."""

    down: int
    """Patches."""
    right: int
    patch: Fraction
    """Side of a patch in parts of the square's."""


def spatial_loss(student: Tensor, teacher: Tensor, weights: SpatialLoss, shift: Shift | None = None) -> Tensor:
    """Weighted sum of cosine distance, squared error and smooth-L1 of every place; maps are matched first.

    Args:
        student: [B, C, h, w].
        teacher: [B, C, h', w'].
        weights: of the terms.
        shift: of the teacher's square from the student's; the places they have in common count.

    Raises:
        EradioError: a patch is no whole number of places.
    """
    student, teacher = match_maps(student, teacher)
    if shift is not None:
        student, teacher = shifted_overlap(student, teacher, _places(shift, (student.shape[2], student.shape[3])))
    return _common(student.movedim(1, -1), teacher.movedim(1, -1), weights)


def match_maps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Resize two maps [B, C, h, w] bilinearly to the larger of their sizes, as AM-RADIO does."""
    size = (max(first.shape[2], second.shape[2]), max(first.shape[3], second.shape[3]))
    return _resized(first, size), _resized(second, size)


def shifted_overlap(student: Tensor, teacher: Tensor, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The places that two maps of shifted views have in common (C-RADIOv4's shift-equivariant loss).

    A student that saw another crop than its teacher cannot copy what the teacher puts at fixed positions.

    Args:
        student: [B, C, h, w].
        teacher: [B, C, h, w], of a view `shift` places further down and to the right.
        shift: rows and columns; negative is up and left.

    Returns:
        Both [B, C, h - |rows|, w - |columns|].
    """
    for axis, by in zip((2, 3), shift, strict=True):
        left = student.shape[axis] - abs(by)
        student = student.narrow(axis, max(0, by), left)
        teacher = teacher.narrow(axis, max(0, -by), left)
    return student, teacher


def alignment_loss(student: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of two of the student's own maps, normalised at every place (MESA in C-RADIOv4).

    Layer norm without affine terms takes scale and offset away, so that only what a map says of the picture has to
    agree between resolutions, shifts, or the student and its moving average.

    Args:
        student: [B, C, h, w].
        other: [B, C, h', w'], without a gradient.
    """
    student, other = (one.movedim(1, -1) for one in match_maps(student, other))
    return F.mse_loss(F.layer_norm(student, student.shape[-1:]), F.layer_norm(other, other.shape[-1:]))


def distillation_losses(
    answers: Mapping[str, Features],
    targets: Mapping[str, Features],
    summary: SummaryLoss | None,
    spatial: SpatialLoss | None,
    dispersions: Mapping[str, float] | None = None,
    shifts: Mapping[str, Shift] | None = None,
) -> dict[str, Tensor]:
    """The loss of every head, by the name `teacher/summary` or `teacher/spatial`.

    Args:
        answers: the student's, through its adaptor heads, by teacher.
        targets: the teachers'.
        summary: weights of the summary loss' terms; None leaves summaries out.
        spatial: of the spatial loss' terms; None leaves maps out.
        dispersions: by teacher, for the angle; 1 where it is not known.
        shifts: by teacher, of its square of the pictures from the student's; none where they see the same.
    """
    losses = {}
    for name, target in targets.items():
        answer = answers[name]
        if summary is not None and target.summary is not None and answer.summary is not None:
            dispersion = (dispersions or {}).get(name, 1.0)
            losses[f"{name}/summary"] = summary_loss(answer.summary, target.summary, summary, dispersion)
        if spatial is not None:
            losses[f"{name}/spatial"] = spatial_loss(answer.spatial, target.spatial, spatial, (shifts or {}).get(name))
    return losses


def _common(student: Tensor, teacher: Tensor, weights: SummaryLoss | SpatialLoss) -> Tensor:
    loss = student.new_zeros(())
    if weights.cosine:
        loss = loss + weights.cosine * cosine_loss(student, teacher)
    if weights.mse:
        loss = loss + weights.mse * F.mse_loss(student, teacher)
    if weights.smooth_l1:
        loss = loss + weights.smooth_l1 * F.smooth_l1_loss(student, teacher)
    return loss


def _places(shift: Shift, size: tuple[int, int]) -> tuple[int, int]:
    rows, columns = (shift.patch * places for places in size)
    if rows.denominator > 1 or columns.denominator > 1:
        raise EradioError(
            f"Maps of {size[0]}x{size[1]} places cannot be shifted by whole patches of these pictures. Let the "
            "teachers look at the pictures as they are (view: pictures), or leave 'shift' out."
        )
    return shift.down * int(rows), shift.right * int(columns)


def _resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    if features.shape[2:] == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)
