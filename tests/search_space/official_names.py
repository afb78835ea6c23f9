"""Names and shapes of an official second-generation state dict, in its order, and weights to fill it with.

The names are facts about the published checkpoints; both were checked against listings of two official variants.
"""

import math

import numpy as np
import torch


def _norm(name, width):
    statistics = {f"{name}.running_mean": [width], f"{name}.running_var": [width], f"{name}.num_batches_tracked": []}
    return {f"{name}.weight": [width], f"{name}.bias": [width], **statistics}


def _conv_norm(name, shape):
    return {f"{name}.conv.weight": shape, **_norm(f"{name}.bn", shape[0])}


def _layer_norm(name, width):
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def _c2f(blocks, width, depth):
    half = width // 2
    names = _conv_norm(f"{blocks}.cv1", [width, width, 1, 1])
    names |= _conv_norm(f"{blocks}.cv2", [width, half * (2 + depth), 1, 1])
    for place in range(depth):
        for part in ("cv1", "cv2"):
            names |= _conv_norm(f"{blocks}.m.{place}.{part}", [half, half, 3, 3])
    return names


def _block(name, width, heads, window, ratio, pool, depthwise, hidden):
    names = {}
    if ratio > 1 and pool:
        names |= _conv_norm(f"{name}.downsample_mixer", [width, width, 1, 1])
        names |= _conv_norm(f"{name}.upsample_op", [width, width, 1, 1])
    elif ratio > 1:
        for part in ("downsample_op", "upsample_op"):
            names |= {f"{name}.{part}.weight": [width, width, ratio, ratio], f"{name}.{part}.bias": [width]}
    else:
        names |= _conv_norm(f"{name}.pre_conv", [width, 1 if depthwise else width, 3, 3])
    names |= _layer_norm(f"{name}.norm1", width)
    names |= {f"{name}.attn.qkv.weight": [3 * width, width], f"{name}.attn.proj.weight": [width, width]}
    bias, area = f"{name}.attn.pos_emb_funct", window**2
    names |= {
        f"{bias}.relative_coords_table": [1, 2 * window - 1, 2 * window - 1, 2],
        f"{bias}.relative_position_index": [area, area],
        f"{bias}.relative_bias": [1, heads, area, area],
        f"{bias}.cpb_mlp.0.weight": [hidden, 2],
        f"{bias}.cpb_mlp.0.bias": [hidden],
        f"{bias}.cpb_mlp.2.weight": [heads, hidden],
    }
    names |= _layer_norm(f"{name}.norm2", width)
    return names | {f"{name}.mlp.fc1.weight": [4 * width, width], f"{name}.mlp.fc2.weight": [width, 4 * width]}


def official_names(d, depths, stem, window, *, neck, pool=False, depthwise=False, hidden=512):
    """Every name with its shape, with the classifier of 1000 classes."""
    names = _conv_norm("patch_embed.conv_down.0", [stem, 3, 3, 3])
    names |= _conv_norm("patch_embed.conv_down.2", [d, stem, 3, 3])
    for level, depth in enumerate(depths):
        width, blocks = d << level, f"levels.{level}.blocks"
        if level < 2:
            names |= _c2f(blocks, width, depth)
        else:
            for place in range(depth):
                for entry, ratio in enumerate([2, 1] if level == 2 else [1]):
                    block = f"{blocks}.{place}.attention_blocks.{entry}"
                    names |= _block(block, width, 2 << level, window, ratio, pool, depthwise, hidden)
        if level < 3:
            names |= _conv_norm(f"levels.{level}.downsample.reduction", [2 * width, width, 3, 3])
    start, wide = neck
    for place, level in enumerate(range(start, 4)):
        width, branch = d << level, f"high_res_neck.neck_features_proj.{place}"
        names |= {f"{branch}.conv1.weight": [width, 1, 3, 3], f"{branch}.conv1.bias": [width]}
        names |= _norm(f"{branch}.norm", width)
        names |= {f"{branch}.conv2.weight": [wide, width, 1, 1], f"{branch}.conv2.bias": [wide]}
    return names | _norm("norm", 8 * d) | {"head.weight": [1000, 8 * d], "head.bias": [1000]}


_TINY = {"d": 32, "depths": (1, 3, 4, 5), "stem": 32, "window": 16, "neck": (2, 256)}
_POOLED = {**_TINY, "pool": True, "depthwise": True, "hidden": 64}

VARIANTS = {
    "e_radio_l": {"d": 192, "depths": (3, 3, 5, 5), "stem": 64, "window": 16, "neck": (2, 1536)},
    "e_radio_xxxtiny": _TINY,
    "e_radio_xxxtiny_8x_ws12": {**_POOLED, "window": 12},
    "e_radio_xxxtiny_8x_ws16": {**_POOLED, "neck": (1, 256)},
}
"""The four networks that the newest official code registers."""

_COMPUTED = ("relative_coords_table", "relative_position_index", "relative_bias", "num_batches_tracked")


def noise(count, number):
    """Reproducible values of mean 0 and deviation 1: a hash of the place and of the tensor's number."""
    mask, shift = np.uint64(2**32 - 1), np.uint64(16)
    values = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(number * 40503)) & mask
    for _ in range(3):
        values ^= values >> shift
        values = (values * np.uint64(2246822519)) & mask
    values ^= values >> shift
    return torch.from_numpy((values / 2**32 - 0.5) * math.sqrt(12))


def filled(names):
    """Weights for the names, by the rule with which the official fingerprints were made; nothing that is computed."""
    state = {}
    wanted = [name for name in names if not name.endswith(_COMPUTED)]
    for number, name in enumerate(wanted, 1):
        shape = names[name]
        values = noise(math.prod(shape), number).view(shape)
        if name.endswith("running_var"):
            values = 1 + 0.2 * values
        elif len(shape) >= 2:
            values = values / math.sqrt(math.prod(shape[1:]))
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values = 0.05 * values
        state[name] = values.float()
    return state


def with_tables(state, names, window, built):
    """The state dict with the tables of offsets that an official network stores, made for windows of `built`."""
    offsets = torch.arange(1.0 - window, window) / (built - 1) * 8
    grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), dim=-1)[None]
    table = grid.sign() * torch.log2(1 + grid.abs()) / 3
    return state | {name: table for name in names if name.endswith("relative_coords_table")}
