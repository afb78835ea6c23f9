import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from eradio.profile import complexity
from eradio.profile.complexity import UncountedError
from tests.contracts.engine import Student


def test_a_network_counted_by_hand():
    tokens = 64 // 4 * 64 // 4
    stem = tokens * 16 * 3 * 4 * 4
    norm = 2 * tokens * 16
    qkv = tokens * 48 * 16
    attention = 2 * tokens * tokens * 16
    paper = complexity(Student(), 64)
    assert paper.gmacs * 1e9 == pytest.approx(stem + norm + qkv + attention)
    assert paper.activations == tokens * (16 + 48 + 16)
    assert paper.parameters == (3 * 4 * 4 * 16 + 16) + 2 * 16 + (16 * 48 + 48)


@pytest.mark.parametrize(
    ("name", "side", "gmacs", "millions"),
    [("resnet50", 224, 4.11, 25.56), ("mobilevit_s", 256, 2.03, 5.58), ("vit_tiny_patch16_224", 224, 1.26, 5.72)],
)
def test_known_networks(name, side, gmacs, millions):
    with torch.random.fork_rng():
        paper = complexity(timm.create_model(name).eval(), side)
    assert paper.gmacs == pytest.approx(gmacs, abs=0.01)
    assert paper.parameters / 1e6 == pytest.approx(millions, abs=0.01)


class Product(nn.Module):
    def forward(self, pictures):
        bias = torch.zeros(1, 8, 8)
        return torch.baddbmm(bias, pictures[:, 0, :8, :16], pictures[:, 1, :16, :8])


class Larger(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def forward(self, pictures):
        return functional.interpolate(pictures, scale_factor=2.0, mode=self.mode)


class Odd(nn.Module):
    def forward(self, pictures):
        return torch.linalg.matrix_exp(pictures) + torch.linalg.det(pictures)[..., None, None]


def test_baddbmm():
    assert complexity(Product(), 16).gmacs * 1e9 == pytest.approx(8 * 16 * 8)


@pytest.mark.parametrize(("mode", "cost"), [("nearest", 1), ("bilinear", 4), ("bicubic", 16)])
def test_resizing(mode, cost):
    assert complexity(Larger(mode), 16).gmacs * 1e9 == pytest.approx(cost * 3 * 32 * 32)


def test_an_unknown_operation_fails_the_count_by_name():
    with pytest.raises(UncountedError, match=r"aten::linalg_det, aten::linalg_matrix_exp costs is not known"):
        complexity(Odd(), 16)
