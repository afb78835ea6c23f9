"""Adaptor heads: widths, structure, and what happens without a summary."""

import torch
from torch import nn

from eradio.distill.heads import AdaptorHead, Heads, TeacherShape
from eradio.features import Features

TEACHERS = (TeacherShape("clip", 24, 40), TeacherShape("sam", None, 16))


def test_heads_answer_with_each_teacher_s_widths() -> None:
    answers = Heads((10, 12), TEACHERS)(Features(torch.randn(3, 10), torch.randn(3, 12, 4, 5)))
    assert answers["clip"].summary is not None
    assert answers["clip"].summary.shape == (3, 24)
    assert answers["clip"].spatial.shape == (3, 40, 4, 5)
    assert answers["sam"].summary is None
    assert answers["sam"].spatial.shape == (3, 16, 4, 5)


def test_a_head_is_a_two_layer_mlp_as_wide_as_the_widest_teacher() -> None:
    heads = [module for module in Heads((10, 12), TEACHERS).modules() if isinstance(module, AdaptorHead)]
    assert len(heads) == 3
    for head in heads:
        assert [type(layer) for layer in head] == [nn.Linear, nn.LayerNorm, nn.GELU, nn.Linear]
        assert head[0].out_features == 40


def test_spatial_heads_work_on_each_position_alone() -> None:
    heads = Heads((10, 12), TEACHERS)
    features = torch.randn(1, 12, 4, 4)
    changed = features.clone()
    changed[0, :, 1, 2] += 1
    difference = heads(Features(torch.zeros(1, 10), changed))["sam"].spatial
    difference = difference - heads(Features(torch.zeros(1, 10), features))["sam"].spatial
    moved = difference.abs().amax(dim=(0, 1)) > 1e-6
    assert moved.nonzero().tolist() == [[1, 2]]
