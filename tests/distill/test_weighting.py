"""How several losses become one."""

import math

import pytest
import torch
from torch import Tensor

from eradio.distill.recipe import Weighting
from eradio.distill.weighting import AdaLoss, UncertaintySum, loss_sum

WEIGHTS = {"clip/summary": 1.0, "clip/spatial": 0.5, "sam/spatial": 2.0}


def _losses(*values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in zip(WEIGHTS, values, strict=False)}


def test_fixed_weights_are_the_recipe_s() -> None:
    total = loss_sum(Weighting(), WEIGHTS, 4)(_losses(3.0, 4.0, 5.0), None)
    assert total.item() == pytest.approx(3 + 0.5 * 4 + 2 * 5)
    assert loss_sum(Weighting(), WEIGHTS, 4)({"sam/spatial": torch.tensor(5.0)}, None).item() == pytest.approx(10)


def test_ada_loss_makes_constant_losses_equal_from_the_first_step_on() -> None:
    total = loss_sum(Weighting(kind="adaloss"), WEIGHTS, 4)
    for _ in range(5):
        assert total(_losses(0.001, 40.0, 5.0), None).item() == pytest.approx(1 + 0.5 + 2)


def test_ada_loss_is_indifferent_to_a_teacher_s_scale() -> None:
    first, second = (loss_sum(Weighting(kind="adaloss"), WEIGHTS, 4) for _ in range(2))
    for step in range(20):
        values = [1 + math.sin(step + shift) / 2 for shift in range(3)]
        plain = first(_losses(*values), None)
        scaled = second(_losses(values[0], 1000 * values[1], values[2] / 1000), None)
        assert plain.item() == pytest.approx(scaled.item(), rel=1e-5)


def test_ada_loss_divides_the_gradient_by_the_running_mean() -> None:
    total = loss_sum(Weighting(kind="adaloss", momentum=0.5), {"a": 1.0}, 4)
    total({"a": torch.tensor(4.0)}, None)
    loss = torch.tensor(8.0, requires_grad=True)
    total({"a": loss}, None).backward()
    # 0.5 (0.5 * 0 + 0.5 * 4) + 0.5 * 8 = 5, corrected by 1 - 0.5^2.
    assert loss.grad is not None
    assert loss.grad.item() == pytest.approx(0.75 / 5)


def test_ada_loss_counts_each_loss_s_own_steps_and_keeps_them_in_its_state() -> None:
    total = loss_sum(Weighting(kind="adaloss"), WEIGHTS, 4)
    total(_losses(1.0), None)
    total(_losses(1.0, 6.0), None)
    assert isinstance(total, AdaLoss)
    assert total.seen.tolist() == [2, 1, 0]
    other = loss_sum(Weighting(kind="adaloss"), WEIGHTS, 4)
    other.load_state_dict(total.state_dict())
    assert other(_losses(2.0, 3.0), None).item() == total(_losses(2.0, 3.0), None).item()
    other.eval()
    before = other.state_dict()["means"].clone()
    other(_losses(9.0), None)
    assert torch.equal(other.state_dict()["means"], before)


def test_uncertainty_settles_where_its_mathematics_says() -> None:
    """e^-b L + softplus(b) is least where e^-b L = sigmoid(b), and all losses weigh 1 at first."""
    total = loss_sum(Weighting(kind="uncertainty"), {"a": 1.0, "b": 1.0}, 3)
    assert isinstance(total, UncertaintySum)
    summary = torch.ones(4, 3)
    losses = {"a": torch.tensor(0.2), "b": torch.tensor(3.0)}
    assert total(losses, summary).item() == pytest.approx(3.2 + 2 * math.log(2))
    optimiser = torch.optim.SGD(total.parameters(), lr=0.2)
    for _ in range(2000):
        optimiser.zero_grad()
        total(losses, summary).backward()
        optimiser.step()
    doubts = total.doubt(summary).mean(0)
    for doubt, loss in zip(doubts.tolist(), (0.2, 3.0), strict=True):
        assert math.exp(-doubt) * loss == pytest.approx(1 / (1 + math.exp(-doubt)), rel=1e-3)
