import pytest
import torch

from eradio.search_space.architecture import AttentionStage
from eradio.search_space.maps import from_windows, to_windows
from eradio.search_space.transformer import AttentionBlock, TransformerStage


def plain(**changes):
    knobs = {"width": 8, "depth": 1, "heads": 2, "pattern": ("local",), "window": 4, "local_conv": "none"}
    return AttentionStage(**(knobs | changes))


def one_block(**changes):
    (block,) = TransformerStage(plain(**changes)).blocks
    return block


def reference(block, x):
    """One windowed sub-block, position by position over the whole map, with a mask instead of windows."""
    height, width = x.shape[2:]
    side, heads = block.window[0], block.attention.heads
    tokens = x.flatten(2).transpose(1, 2)
    places = [(i, j) for i in range(height) for j in range(width)]
    normed = block.attention_norm(tokens)
    query, key, value = (
        part.unflatten(2, (heads, -1)).transpose(1, 2) for part in block.attention.qkv(normed).chunk(3, dim=2)
    )
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    position = block.attention.position
    bias = torch.full((heads, len(places), len(places)), float("-inf"))
    for a, (i, j) in enumerate(places):
        for b, (k, m) in enumerate(places):
            if i // side == k // side and j // side == m // side:
                offset = torch.tensor([i - k, j - m]) / (side - 1) * 8
                offset = offset.sign() * torch.log2(1 + offset.abs()) / torch.log2(torch.tensor(8.0))
                bias[:, a, b] = 16 * torch.sigmoid(position.outer(torch.relu(position.inner(offset))))
    mixed = (scores + bias).softmax(dim=3) @ value
    tokens = tokens + block.attention.project(mixed.transpose(1, 2).flatten(2))
    tokens = tokens + block.mlp(block.mlp_norm(tokens))
    return (tokens.transpose(1, 2).unflatten(2, (height, width)) + x) / 2


@pytest.mark.parametrize("side", [(4, 4), (8, 4), (4, 12)])
def test_windowed_attention_is_full_attention_with_a_mask(side, seed):
    torch.manual_seed(seed)
    block = one_block()
    x = torch.randn(2, 8, *side)
    torch.testing.assert_close(block(x), reference(block, x), rtol=1e-4, atol=1e-5)


def test_global_attention_is_one_window_over_the_map(seed):
    torch.manual_seed(seed)
    local = one_block(window=6)
    whole = AttentionBlock(plain(pattern=("global",)), "global")
    whole.load_state_dict(local.state_dict())
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(whole(x), local(x))


def test_windows_are_undone(seed):
    torch.manual_seed(seed)
    x = torch.randn(2, 3, 6, 8)
    tokens = to_windows(x, (3, 2))
    assert tokens.shape == (2 * 2 * 4, 6, 3)
    torch.testing.assert_close(tokens[1], x[0, :, 0:3, 2:4].flatten(1).T)
    assert torch.equal(from_windows(tokens, (3, 2), (6, 8)), x)


def test_a_window_sees_nothing_outside(seed):
    torch.manual_seed(seed)
    stage = TransformerStage(plain()).eval()
    x = torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[:, :, 4:, 4:] += 1
    same = torch.isclose(stage(x), stage(changed)).all(dim=1)[0]
    assert same[:4].all()
    assert same[:, :4].all()
    assert not same[4:, 4:].any()


def test_sub_sampled_attention_reaches_further(seed):
    torch.manual_seed(seed)
    stage = TransformerStage(plain(pattern=("global-sub2", "local"))).eval()
    x = torch.randn(1, 8, 8, 8, requires_grad=True)
    stage(x)[0, :, 0, 0].sum().backward()
    assert (x.grad[0, :, 7, 7] != 0).any()


@pytest.mark.parametrize("fit", ["resize", "pad"])
@pytest.mark.parametrize(
    "pattern",
    [
        ("local",),
        ("global-sub2", "local"),
        ("global-sub3", "global-sub2"),
        ("global", "global-sub2"),
        ("linear", "local"),
    ],
)
def test_maps_that_do_not_fit_the_windows_keep_their_side(fit, pattern):
    stage = TransformerStage(plain(pattern=pattern, fit=fit))
    for side in ((5, 7), (1, 1), (8, 3)):
        assert stage(torch.randn(2, 8, *side)).shape == (2, 8, *side)


def test_a_stage_resizes_by_repeating_positions(seed):
    torch.manual_seed(seed)
    stage = TransformerStage(plain())
    x = torch.randn(1, 8, 2, 4)
    torch.testing.assert_close(stage(x), stage(x.repeat_interleave(2, dim=2))[:, :, ::2])


def test_weights_fit_every_window():
    small, large = (TransformerStage(plain(pattern=("global-sub2", "local"), window=side)) for side in (2, 7))
    large.load_state_dict(small.state_dict())
    window_of_one = TransformerStage(plain(window=1))
    assert window_of_one(torch.randn(1, 8, 3, 3)).isfinite().all()


def test_no_local_convolution_passes_the_map_once(seed):
    torch.manual_seed(seed)
    block = one_block()
    torch.nn.init.zeros_(block.attention.project.weight)
    torch.nn.init.zeros_(block.mlp[2].weight)
    x = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_mlp_ratio_is_obeyed():
    assert one_block(mlp_ratio=3).mlp[0].out_features == 24
