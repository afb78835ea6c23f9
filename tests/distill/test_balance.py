"""Balancing: what PHI-S promises, and the exact way back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from eradio.distill.balance import Balanced, Moments
from eradio.distill.recipe import BalanceKind
from eradio.errors import EradioError

KINDS: tuple[BalanceKind, ...] = ("global", "channel", "phi-s")


def _features(seed: int, count: int, width: int, rank: int | None = None) -> Tensor:
    """Vectors with correlated channels of very different scales and means; of low rank if asked for."""
    random = torch.Generator().manual_seed(seed)
    rank = rank or width
    mixing = torch.randn(rank, width, generator=random, dtype=torch.float64)
    mixing = mixing * 10 ** torch.linspace(-2, 2, width, dtype=torch.float64)
    means = 5 * torch.randn(width, generator=random, dtype=torch.float64)
    return torch.randn(count, rank, generator=random, dtype=torch.float64) @ mixing + means


def _moments(features: Tensor, parts: int = 1) -> Moments:
    moments = Moments(features.shape[1])
    for part in features.tensor_split(parts):
        moments.add(part)
    return moments


@given(seed=st.integers(0, 1000), parts=st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_moments_do_not_depend_on_the_portions(seed: int, parts: int) -> None:
    features = _features(seed, 50, 6)
    moments = _moments(features, parts)
    assert np.allclose(moments.mean, features.mean(0).numpy(), rtol=1e-12)
    assert np.allclose(moments.covariance(), np.cov(features.numpy().T, bias=True), rtol=1e-9)


@given(seed=st.integers(0, 1000), width=st.sampled_from([2, 4, 12, 16, 48]), rank=st.integers(1, 48))
@settings(max_examples=40, deadline=None)
def test_after_phi_s_every_channel_has_variance_one_whatever_the_rank(seed: int, width: int, rank: int) -> None:
    features = _features(seed, 300, width, min(rank, width))
    balanced = Balanced.of("phi-s", _moments(features)).balance(features)
    assert balanced.mean(0).abs().max() < 1e-6
    assert (balanced.var(0, unbiased=False) - 1).abs().max() < 1e-6


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_phi_s_keeps_every_angle_and_scales_all_distances_alike(seed: int) -> None:
    """It is a rotation and one scale, so that an error anywhere costs what it costs everywhere."""
    features = _features(seed, 300, 12)
    balance = Balanced.of("phi-s", _moments(features))
    phi = float(features.var(0, unbiased=False).mean().sqrt())
    assert torch.allclose(
        torch.cdist(balance.balance(features), balance.balance(features)) * phi,
        torch.cdist(features, features),
        rtol=1e-6,
        atol=1e-4,
    )
    assert torch.allclose(balance.there @ balance.there.T * phi**2, torch.eye(12, dtype=torch.float64), atol=1e-9)


def test_channels_are_standardised_one_by_one_and_globally_all_at_once() -> None:
    features = _features(3, 400, 8)
    each = Balanced.of("channel", _moments(features)).balance(features)
    assert torch.allclose(each.var(0, unbiased=False), torch.ones(8, dtype=torch.float64))
    assert each.mean(0).abs().max() < 1e-9
    whole = Balanced.of("global", _moments(features)).balance(features)
    assert whole.mean().abs() < 1e-9
    assert float(whole.var(unbiased=False)) == pytest.approx(1)
    ratio = whole.std(0) / features.std(0)
    assert torch.allclose(ratio, ratio[0].expand_as(ratio))


def test_a_channel_that_never_changes_is_not_blown_up() -> None:
    features = _features(4, 100, 4)
    features[:, 2] = 7.0
    balanced = Balanced.of("channel", _moments(features)).balance(features)
    assert balanced.isfinite().all()
    assert balanced[:, 2].abs().max() < 1e-9


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_restoring_undoes_balancing(kind: BalanceKind, seed: int) -> None:
    features = _features(seed, 60, 12)
    balance = Balanced.of(kind, _moments(features))
    back = balance.restore(balance.balance(features))
    assert torch.allclose(back, features, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [12, 384, 768])
def test_a_folded_layer_answers_in_the_teacher_s_scale(kind: BalanceKind, bias: bool, width: int) -> None:
    """To 1e-5 of the answers' deviation, in single precision."""
    features = _features(5, 2 * width, width)
    balance = Balanced.of(kind, _moments(features))
    torch.manual_seed(0)
    layer = nn.Linear(32, width, bias=bias)
    inputs = torch.randn(200, 32)
    with torch.no_grad():
        expected = balance.restore(layer(inputs).double())
        balance.fold(layer)
        assert layer(inputs).dtype == torch.float32
        error = (layer(inputs).double() - expected).abs().max()
    assert error <= 1e-5 * expected.std()


def test_features_that_never_change_are_refused_in_words() -> None:
    with pytest.raises(EradioError, match="the same for every picture"):
        Balanced.of("phi-s", _moments(torch.ones(10, 4)))
