"""Losses and map matching against their mathematics."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from eradio.distill.losses import (
    alignment_loss,
    angle_loss,
    cosine_loss,
    dispersion_of,
    distillation_losses,
    match_maps,
    shifted_overlap,
    spatial_loss,
    summary_loss,
)
from eradio.distill.recipe import SpatialLoss, SummaryLoss
from eradio.features import Features


def _maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cosine_loss_is_the_angle_and_nothing_else() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[3.0, 0.0], [0.0, 5.0], [-2.0, 0.0]])
    assert cosine_loss(x, y).item() == pytest.approx((0 + 1 + 2) / 3)
    angle = math.radians(30)
    turned = torch.tensor([[math.cos(angle), math.sin(angle)]])
    assert cosine_loss(x[:1], turned).item() == pytest.approx(1 - math.cos(angle))


def test_cosine_loss_ignores_scale() -> None:
    x, y = _maps(0, 5, 7), _maps(1, 5, 7)
    assert torch.allclose(cosine_loss(3 * x, 0.1 * y), cosine_loss(x, y))


def test_a_vector_without_length_has_a_finite_loss_and_gradient() -> None:
    nothing = torch.zeros(2, 3, requires_grad=True)
    loss = cosine_loss(nothing, torch.ones(2, 3))
    loss.backward()
    assert loss.item() == 1
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()


def test_spatial_loss_by_hand() -> None:
    student = torch.zeros(1, 2, 1, 2)
    student[0, :, 0, 0] = torch.tensor([1.0, 0.0])
    student[0, :, 0, 1] = torch.tensor([0.0, 1.0])
    teacher = torch.zeros(1, 2, 1, 2)
    teacher[0, :, 0, 0] = torch.tensor([3.0, 0.0])
    teacher[0, :, 0, 1] = torch.tensor([0.5, 0.0])
    cosine = (0 + 1) / 2
    # Differences -2, 0, -0.5, 1: smooth-L1 is |d| - 1/2 from 1 on, else d^2 / 2.
    smooth = (1.5 + 0 + 0.125 + 0.5) / 4
    value = spatial_loss(student, teacher, SpatialLoss(cosine=0.9, smooth_l1=0.1))
    assert value.item() == pytest.approx(0.9 * cosine + 0.1 * smooth)
    other = spatial_loss(student, teacher, SpatialLoss(cosine=0.25, smooth_l1=3))
    assert other.item() == pytest.approx(0.25 * cosine + 3 * smooth)


def test_the_paper_weights_are_the_default() -> None:
    assert SpatialLoss() == SpatialLoss(cosine=0.9, smooth_l1=0.1)


def test_smooth_l1_keeps_the_magnitude() -> None:
    teacher = _maps(2, 2, 4, 3, 3)
    weights = SpatialLoss()
    assert spatial_loss(teacher, teacher, weights).item() == pytest.approx(0, abs=1e-9)
    assert spatial_loss(2 * teacher, teacher, weights) > 0.01


@pytest.mark.parametrize(("first", "second"), [((4, 4), (8, 8)), ((8, 8), (2, 4)), ((2, 8), (4, 4))])
def test_maps_are_matched_to_the_larger_bilinearly(first: tuple[int, int], second: tuple[int, int]) -> None:
    a, b = _maps(3, 2, 3, *first), _maps(4, 2, 3, *second)
    size = (max(first[0], second[0]), max(first[1], second[1]))
    x, y = match_maps(a, b)
    assert x.shape[2:] == y.shape[2:] == size
    assert torch.allclose(x, F.interpolate(a, size=size, mode="bilinear", align_corners=False))
    assert torch.allclose(y, F.interpolate(b, size=size, mode="bilinear", align_corners=False))


def test_matching_keeps_linear_ramps_and_leaves_equal_maps_alone() -> None:
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    grown, _ = match_maps(ramp, torch.zeros(1, 1, 8, 8))
    assert grown[0, 0, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    same, _ = match_maps(ramp, torch.zeros(1, 1, 4, 4))
    assert same is ramp


def test_a_teacher_without_a_summary_has_no_summary_loss() -> None:
    answers = {name: Features(_maps(5, 2, 6), _maps(6, 2, 6, 4, 4)) for name in ("clip", "sam")}
    targets = {
        "clip": Features(_maps(7, 2, 6), _maps(8, 2, 6, 8, 8)),
        "sam": Features(None, _maps(9, 2, 6, 8, 8)),
    }
    losses = distillation_losses(answers, targets, SummaryLoss(), SpatialLoss())
    assert set(losses) == {"clip/summary", "clip/spatial", "sam/spatial"}
    clip, target = answers["clip"].summary, targets["clip"].summary
    assert clip is not None
    assert target is not None
    assert torch.allclose(losses["clip/summary"], cosine_loss(clip, target))
    assert torch.allclose(
        losses["sam/spatial"], spatial_loss(answers["sam"].spatial, targets["sam"].spatial, SpatialLoss())
    )


def test_either_kind_of_loss_can_be_left_out() -> None:
    answers = {"clip": Features(_maps(5, 2, 6), _maps(6, 2, 6, 4, 4))}
    targets = {"clip": Features(_maps(7, 2, 6), _maps(8, 2, 6, 8, 8))}
    assert set(distillation_losses(answers, targets, None, SpatialLoss())) == {"clip/spatial"}
    assert set(distillation_losses(answers, targets, SummaryLoss(), None)) == {"clip/summary"}


def test_squared_error_by_hand() -> None:
    student, teacher = torch.zeros(1, 2, 1, 1), torch.tensor([3.0, 1.0]).view(1, 2, 1, 1)
    weights = SpatialLoss(cosine=0, smooth_l1=0, mse=2)
    assert spatial_loss(student, teacher, weights).item() == pytest.approx(2 * (9 + 1) / 2)


@pytest.mark.parametrize("degrees", [1.0, 30.0, 90.0, 150.0])
def test_the_angle_loss_is_the_square_of_the_angle_over_the_dispersion(degrees: float) -> None:
    angle = math.radians(degrees)
    x, y = torch.tensor([[2.0, 0.0]]).double(), torch.tensor([[math.cos(angle), math.sin(angle)]]).double()
    assert angle_loss(x, y, 0.7).item() == pytest.approx(angle**2 / 0.7, rel=1e-6)
    assert angle_loss(5 * x, 0.1 * y, 0.7).item() == pytest.approx(angle**2 / 0.7, rel=1e-6)


@pytest.mark.parametrize("y", [(1.0, 0.0), (-1.0, 0.0)])
def test_the_angle_loss_has_a_finite_gradient_at_equal_and_opposite_vectors(y: tuple[float, float]) -> None:
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    angle_loss(x, torch.tensor([y]), 1.0).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_dispersion_is_the_mean_square_of_the_angle_to_the_mean_direction() -> None:
    """Vectors on a cone of 20 degrees about an axis, whatever their lengths."""
    opening = math.radians(20)
    around = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)[:-1]
    cone = torch.stack(
        [
            torch.full_like(around, math.cos(opening)),
            math.sin(opening) * around.cos(),
            math.sin(opening) * around.sin(),
        ],
        dim=1,
    )
    lengths = torch.arange(1.0, 9.0, dtype=torch.float64)[:, None]
    assert dispersion_of(lengths * cone) == pytest.approx(opening**2, rel=1e-6)


def test_narrow_and_wide_teachers_count_alike_by_the_balanced_loss() -> None:
    """A student that always answers the mean direction is as bad for one as for the other."""
    axis = torch.zeros(400, 8, dtype=torch.float64)
    axis[:, 0] = 1
    found = []
    for width in (0.05, 0.5):
        teacher = axis + width * _maps(3, 400, 8)
        middle = torch.nn.functional.normalize(teacher, dim=-1).mean(0).expand_as(teacher)
        weights = SummaryLoss(cosine=0, angle=1)
        found.append(summary_loss(middle, teacher, weights, dispersion_of(teacher)).item())
    assert found == pytest.approx([1.0, 1.0], rel=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (2, 1), (-1, 3), (-2, -1)])
def test_maps_of_shifted_views_agree_where_they_overlap(shift: tuple[int, int]) -> None:
    scene, size, margin = _maps(11, 1, 3, 16, 16), 8, 4
    rows, columns = shift
    student = scene[:, :, margin : margin + size, margin : margin + size]
    teacher = scene[:, :, margin + rows : margin + rows + size, margin + columns : margin + columns + size]
    first, second = shifted_overlap(student, teacher, shift)
    assert first.shape[2:] == (size - abs(rows), size - abs(columns))
    assert torch.equal(first, second)


def test_alignment_asks_for_the_same_picture_not_the_same_scale() -> None:
    student = _maps(12, 2, 6, 4, 4)
    assert alignment_loss(student, 3 * student + 5).item() == pytest.approx(0, abs=1e-5)
    assert alignment_loss(student, _maps(13, 2, 6, 4, 4)) > 0.5
    assert alignment_loss(student, F.interpolate(student, scale_factor=2, mode="bilinear")).item() == pytest.approx(0)


def test_a_loss_without_any_term_is_refused() -> None:
    with pytest.raises(ValueError, match="null in place"):
        SpatialLoss(cosine=0, smooth_l1=0)
    with pytest.raises(ValueError, match="null in place"):
        SummaryLoss(cosine=0)
