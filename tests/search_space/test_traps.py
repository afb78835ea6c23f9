"""What goes wrong in the official code (its traps, one test each) does not go wrong here."""

import pytest
import torch
from torch import nn

from eradio.search_space import Architecture, Backbone, ERadio, build, deploy, named

STAGES = [
    {"kind": "c2f", "width": 8, "depth": 2},
    {"kind": "c2f", "width": 16, "depth": 1},
    {"kind": "attention", "width": 32, "depth": 1, "heads": 2, "pattern": ["global-sub2", "local"], "window": 4},
    {"kind": "attention", "width": 64, "depth": 1, "heads": 2, "pattern": ["local"], "window": 2},
]


def hybrid(neck=(2, 24), **changes):
    stages = [stage | (changes if stage["kind"] == "attention" else {}) for stage in STAGES]
    neck = {"start": neck[0], "width": neck[1]}
    return Architecture.parse({"stem": {"width": 8}, "stages": stages, "neck": neck}, "here")


def spread(module, seed=0):
    """Norms with statistics, gains and shifts of a trained network's kind, so that a mistake in folding shows."""
    random = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=random))
        elif ".position." in name:
            value.add_(torch.randn(value.shape, generator=random))
        elif value.ndim == 2:
            value.mul_(8)  # linear layers start small
        elif value.ndim > 1:
            value.mul_(1 + 0.3 * torch.randn(value.shape, generator=random))
        elif value.is_floating_point():
            value.add_(0.1 * torch.randn(value.shape, generator=random))
    return module.eval()


def close(first, second, tolerance=1e-5):
    assert (first - second).abs().max() <= tolerance * second.std()


@torch.no_grad()
def test_1_deploying_before_any_forward_pass_and_after_a_change_of_window_is_exact():
    pictures = torch.rand(1, 3, 64, 64)
    saved = spread(build(hybrid())).state_dict()
    fresh = build(hybrid(), seed=1)
    fresh.load_state_dict(saved)
    close(deploy(fresh, (64, 64))(pictures).spatial, fresh.eval()(pictures).spatial)
    fresh.set_input_size((64, 64), window=3)
    close(deploy(fresh, (64, 64))(pictures).spatial, fresh(pictures).spatial)


def test_2_a_state_dict_saved_after_a_change_of_window_loads_into_a_fresh_network():
    changed = build(hybrid())
    changed.set_input_size((96, 96), window=3)
    build(hybrid(), seed=1).load_state_dict(changed.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("bias_window", [None, 16])
def test_3_changing_the_window_is_the_same_as_building_with_it(bias_window):
    changed = spread(build(hybrid(bias_window=bias_window)))
    pictures = torch.rand(1, 3, 96, 96)
    before = changed(pictures).spatial
    changed.set_input_size((96, 96), window=3)
    built = build(hybrid(bias_window=bias_window, window=3), seed=1).eval()
    built.load_state_dict(changed.state_dict())
    assert torch.equal(built(pictures).spatial, changed(pictures).spatial)
    assert (before - changed(pictures).spatial).abs().max() > 1e-2 * before.std()


@torch.no_grad()
def test_3_what_offsets_are_divided_by_matters():
    """So that the test above, and those of folding, would notice another position bias."""
    one, other = (spread(build(hybrid(bias_window=window))) for window in (4, 16))
    pictures = torch.rand(1, 3, 64, 64)
    assert (one(pictures).spatial - other(pictures).spatial).abs().max() > 1e-2 * one(pictures).spatial.std()


@torch.no_grad()
def test_4_a_neck_from_stage_0_doubles_at_every_stage_and_pads_nothing():
    module = spread(build(hybrid(neck=(0, 24))))
    assert module(torch.rand(1, 3, 64, 96)).spatial.shape == (1, 24, 16, 24)
    # The deepest branch repeats each position 8 times; a map that was padded with zeros would not reach the edge.
    for branch in module.neck.branches[:3]:
        nn.init.zeros_(branch[-1].weight)
        nn.init.zeros_(branch[-1].bias)
    assert (module(torch.rand(1, 3, 64, 96)).spatial[:, :, -1, -1].abs() > 0).any()


@torch.no_grad()
def test_5_without_a_3x3_the_map_enters_attention_once():
    module = spread(build(hybrid(local_conv="none")))
    block = module.levels[3].blocks.blocks[0]
    for layer in (block.attention.project, block.mlp[2]):
        nn.init.zeros_(layer.weight)
    x = torch.rand(1, 64, 2, 2)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("side", [16, 33, 432, 544])
def test_6_any_side_is_taken(side):
    with torch.device("meta"):
        spatial = build(named("e_radio_xxxtiny")).eval()(torch.rand(1, 3, side, side)).spatial
    assert spatial.shape == (1, 256, -(-side // 16), -(-side // 16))


def test_7_the_width_of_the_embedding_is_told():
    assert ERadio(hybrid(), num_classes=0).embed_dim == 24


def test_8_every_knob_is_obeyed_and_drop_path_reaches_c2f():
    assert build(hybrid(mlp_ratio=2)).levels[3].blocks.blocks[0].mlp[0].out_features == 128
    torch.manual_seed(0)
    module = Backbone(hybrid(), drop_path_rate=0.9).train()
    # Two bottlenecks, one, then attention and MLP of three blocks: the rates rise linearly from zero.
    rates = [part.drop_prob for name, part in module.named_modules() if name.endswith("drop_path")]
    assert rates == pytest.approx([0.9 * place / 5 for place in range(6)])
    second = module.levels[0].blocks.bottlenecks[1]
    second.drop_path.drop_prob = 0.9
    x = torch.rand(64, 4, 4, 4)
    passed = [torch.equal(a, b) for a, b in zip(second(x), x, strict=True)]
    assert 40 < sum(passed) < 64


@torch.no_grad()
def test_9_deploying_leaves_no_batch_norm_and_the_outputs_agree():
    pictures = torch.rand(2, 3, 64, 64)
    for branch in ("resample", "shuffle", "deconv"):
        data = hybrid().model_dump(mode="json")
        data["neck"]["branch"] = branch
        module = spread(build(Architecture.parse(data, "here")))
        deployed = deploy(module, (64, 64))
        assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
        for ours, theirs in zip(deployed(pictures), module(pictures), strict=True):
            close(ours, theirs)
