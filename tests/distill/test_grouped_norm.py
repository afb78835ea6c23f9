"""Batch norms whose statistics do not depend on how a batch is cut."""

import copy

import pytest
import timm
import torch
from torch import nn

from eradio.distill.grouped_norm import group_norms, settle_norms
from eradio.search_space import build, named


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4)
    ).double()


PICTURES = torch.randn(12, 3, 8, 8, dtype=torch.float64)


def _step(net: nn.Module, micro: int) -> dict[str, torch.Tensor]:
    net.train()
    for part in PICTURES.split(micro):
        net(part).square().sum().backward()
    settle_norms(net)
    return {name: weight.grad.clone() for name, weight in net.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("micro", [12, 8, 4])
def test_gradients_and_statistics_do_not_depend_on_the_micro_batch(micro: int) -> None:
    first, other = (group_norms(_net(), 4) for _ in range(2))
    expected, found = _step(first, 12), _step(other, micro)
    for name, gradient in expected.items():
        assert torch.allclose(gradient, found[name], rtol=1e-9, atol=1e-9), name
    for name, value in first.state_dict().items():
        assert torch.allclose(value, other.state_dict()[name], rtol=1e-12), name


def test_one_group_is_a_plain_batch_norm() -> None:
    plain, grouped = _net(), group_norms(_net(), 12)
    expected, found = _step(plain, 12), _step(grouped, 12)
    assert all(torch.equal(gradient, found[name]) for name, gradient in expected.items())
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, grouped.state_dict()[name], rtol=1e-12), name
    assert torch.allclose(plain.eval()(PICTURES), grouped.eval()(PICTURES), rtol=1e-12)


def test_the_statistics_move_once_a_step_by_the_mean_of_the_groups() -> None:
    norm = group_norms(nn.BatchNorm2d(3), 6)
    features = 5 + 2 * torch.randn(12, 3, 4, 4)
    norm(features)
    assert torch.equal(norm.running_mean, torch.zeros(3))  # type: ignore[arg-type]
    settle_norms(norm)
    means = features.unflatten(0, (2, 6)).mean((1, 3, 4))
    assert torch.allclose(norm.running_mean, 0.1 * means.mean(0), atol=1e-6)  # type: ignore[arg-type]
    assert norm.num_batches_tracked == 1
    before = copy.deepcopy(norm.state_dict())
    settle_norms(norm)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_half_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="not whole groups of 4"):
        group_norms(nn.BatchNorm2d(3), 4)(torch.randn(6, 3, 2, 2))


@pytest.mark.parametrize("name", ["ours", "timm"])
def test_real_networks_keep_their_weights_names_and_answers(name: str) -> None:
    """timm's norms compute an activation too, and keep it."""
    network = build(named("e_radio_mini_s")) if name == "ours" else timm.create_model("resnet10t", num_classes=0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pictures = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        expected = network.eval()(pictures)
        group_norms(network, 2)
        found = network(pictures)
    assert network.state_dict().keys() == before.keys()
    for one, other in zip(_flat(expected), _flat(found), strict=True):
        assert torch.equal(one, other)


def _flat(answer: object) -> list[torch.Tensor]:
    return [answer] if isinstance(answer, torch.Tensor) else [one for one in answer if one is not None]  # type: ignore[attr-defined]
