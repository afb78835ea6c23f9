"""How several losses become one."""

import math

import pytest
import torch
from torch import Tensor

from eradio.distill.recipe import Weighting
from eradio.distill.weighting import AdaLoss, LossSum, UncertaintySum, loss_sum

WEIGHTS = {"clip/summary": 1.0, "clip/spatial": 0.5, "sam/spatial": 2.0}


def _losses(*values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in zip(WEIGHTS, values, strict=False)}


def test_fixed_weights_are_the_recipe_s() -> None:
    total = loss_sum(Weighting(), WEIGHTS)(_losses(3.0, 4.0, 5.0))
    assert total.item() == pytest.approx(3 + 0.5 * 4 + 2 * 5)
    assert loss_sum(Weighting(), WEIGHTS)({"sam/spatial": torch.tensor(5.0)}).item() == pytest.approx(10)


def _step(total: LossSum, *values: float) -> float:
    found = total(_losses(*values)).item()
    total.observe(dict(zip(WEIGHTS, values, strict=False)))
    return found


def test_ada_loss_looks_first_and_then_makes_constant_losses_equal() -> None:
    total = loss_sum(Weighting(kind="adaloss"), WEIGHTS)
    found = [_step(total, 0.001, 40.0, 5.0) for _ in range(5)]
    assert found == pytest.approx([0.0, 3.5, 3.5, 3.5, 3.5])


def test_ada_loss_is_indifferent_to_a_teacher_s_scale() -> None:
    first, second = (loss_sum(Weighting(kind="adaloss"), WEIGHTS) for _ in range(2))
    for step in range(20):
        values = [1 + math.sin(step + shift) / 2 for shift in range(3)]
        plain = _step(first, *values)
        assert plain == pytest.approx(_step(second, values[0], 1000 * values[1], values[2] / 1000), rel=1e-5)


def test_ada_loss_divides_the_gradient_by_the_mean_of_the_steps_before() -> None:
    total = loss_sum(Weighting(kind="adaloss", momentum=0.5), {"a": 1.0})
    total.observe({"a": 4.0})
    total.observe({"a": 8.0})
    loss = torch.tensor(3.0, requires_grad=True)
    total({"a": loss}).backward()
    # 0.5 (0.5 * 0 + 0.5 * 4) + 0.5 * 8 = 5, corrected by 1 - 0.5^2.
    assert loss.grad is not None
    assert loss.grad.item() == pytest.approx(0.75 / 5)


def test_ada_loss_counts_each_loss_s_own_steps_and_keeps_them_in_its_state() -> None:
    total = loss_sum(Weighting(kind="adaloss"), WEIGHTS)
    _step(total, 1.0)
    _step(total, 1.0, 6.0)
    assert isinstance(total, AdaLoss)
    assert total.seen.tolist() == [2, 1, 0]
    other = loss_sum(Weighting(kind="adaloss"), WEIGHTS)
    other.load_state_dict(total.state_dict())
    assert other(_losses(2.0, 3.0)).item() == total(_losses(2.0, 3.0)).item()


@pytest.mark.parametrize("kind", ["fixed", "adaloss", "uncertainty"])
def test_every_sum_is_linear_so_that_parts_of_a_batch_add_up(kind: str) -> None:
    total = loss_sum(Weighting.model_validate({"kind": kind}), WEIGHTS)
    _step(total, 1.0, 2.0, 3.0)
    first, second = _losses(1.0, 5.0, 2.0), _losses(3.0, 1.0, 7.0)
    whole = {name: (loss + second[name]) / 2 for name, loss in first.items()}
    assert total(whole).item() == pytest.approx((total(first).item() + total(second).item()) / 2, rel=1e-6)


def test_uncertainty_settles_where_its_mathematics_says() -> None:
    """e^-b L + softplus(b) is least where e^-b L = sigmoid(b), and all losses weigh 1 at first."""
    total = loss_sum(Weighting(kind="uncertainty"), {"a": 1.0, "b": 1.0})
    assert isinstance(total, UncertaintySum)
    losses = {"a": torch.tensor(0.2), "b": torch.tensor(3.0)}
    assert total(losses).item() == pytest.approx(3.2 + 2 * math.log(2))
    optimiser = torch.optim.SGD(total.parameters(), lr=0.5)
    for _ in range(500):
        optimiser.zero_grad()
        total(losses).backward()
        optimiser.step()
    for doubt, loss in zip(total.doubts.tolist(), (0.2, 3.0), strict=True):
        assert math.exp(-doubt) * loss == pytest.approx(1 / (1 + math.exp(-doubt)), rel=1e-3)
