"""Weights of the official E-RADIO: recognise a checkpoint by its keys and shapes, and load it into our network.

The names and shapes are facts about the published state dicts; this is an independent implementation.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from eradio.errors import EradioError
from eradio.search_space.architecture import Architecture
from eradio.search_space.backbone import Backbone

_ANCHOR = "patch_embed.conv_down.0.conv.weight"
_BIAS = "attn.pos_emb_funct"

_IGNORED = re.compile(
    r"^(norm|head)\.|\.num_batches_tracked$|\.pos_emb_funct\.(relative_coords_table|relative_position_index|relative_bias)$"
)
"""The classifier with its norm, and what can be computed from the window."""

_BLOCK = r"^(levels\.\d+\.blocks)\.(\d+)\.attention_blocks\.(\d+)\."
_RENAMED = (
    (r"^patch_embed\.conv_down\.0\.", "stem.0."),
    (r"^patch_embed\.conv_down\.2\.", "stem.1."),
    (r"^(levels\.\d+)\.downsample\.reduction\.", r"\1.down."),
    (r"^(levels\.\d+\.blocks)\.cv1\.", r"\1.split."),
    (r"^(levels\.\d+\.blocks)\.cv2\.", r"\1.merge."),
    (r"^(levels\.\d+\.blocks)\.m\.(\d+)\.cv1\.", r"\1.bottlenecks.\2.first."),
    (r"^(levels\.\d+\.blocks)\.m\.(\d+)\.cv2\.", r"\1.bottlenecks.\2.second."),
    (r"\.downsample_op\.(weight|bias)$", r".enter.\1"),
    (r"\.downsample_mixer\.", ".enter.1."),
    (r"\.upsample_op\.(weight|bias)$", r".leave.\1"),
    (r"\.upsample_op\.", ".leave.1."),
    (r"\.pre_conv\.", ".enter.conv."),
    (r"\.attn\.qkv\.", ".attention.qkv."),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.pos_emb_funct\.cpb_mlp\.0\.", ".attention.position.inner."),
    (r"\.attn\.pos_emb_funct\.cpb_mlp\.2\.", ".attention.position.outer."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
    (r"^high_res_neck\.neck_features_proj\.(\d+)\.conv1\.", r"neck.branches.\1.1."),
    (r"^high_res_neck\.neck_features_proj\.(\d+)\.norm\.", r"neck.branches.\1.2."),
    (r"^high_res_neck\.neck_features_proj\.(\d+)\.conv2\.", r"neck.branches.\1.3."),
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.conv\.weight$", ".0.weight"),
    (r"\.bn\.", ".1."),
)


def load_official(state: Mapping[str, Any], window: int | None = None, bias_window: int | None = None) -> Backbone:
    """A backbone with the weights of an official second-generation E-RADIO.

    Args:
        state: the checkpoint's state dict, or a checkpoint that holds one under "state_dict" or "model"; a prefix
            that all keys share is taken off, and the classifier and its norm are left out.
        window: side of the windows; the one that the checkpoint's position tables are for if None.
        bias_window: side of the window that position offsets were divided by when the network was built (the released
            variants: 16, or 12); read from the tables if None.

    Raises:
        EradioError: it is no such state dict, and what does not match; or it holds no tables and no window is given.
    """
    weights = _plain(state)
    architecture = official_architecture(weights, window, bias_window)
    backbone = Backbone(architecture)
    own = {name: value for name, value in backbone.state_dict().items() if not name.endswith("num_batches_tracked")}
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if _IGNORED.search(name):
            continue
        mapped = _renamed(name, weights)
        if mapped not in own:
            raise EradioError(f"This is no E-RADIO: a network with its other weights would not hold '{name}'.")
        if value.shape != own[mapped].shape:
            given, wanted = list(value.shape), list(own[mapped].shape)
            raise EradioError(f"This is no E-RADIO: '{name}' has the shape {given}, where {wanted} belongs.")
        found[mapped] = value
    missing = [name for name in own if name not in found]
    if missing:
        raise EradioError(
            f"This is no whole E-RADIO: {len(missing)} of its {len(own)} weights are missing, the first for "
            f"'{missing[0]}'. Give the complete state dict."
        )
    backbone.load_state_dict(found, strict=False)
    return backbone.eval()


def is_official(state: Mapping[str, Any]) -> bool:
    """Whether a state dict has the key that every official network begins with."""
    return any(name.endswith(_ANCHOR) for name in state)


def official_classifier(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The last norm and the linear layer of an official state dict, by their names there; empty where it has none."""
    return {name: value for name, value in _plain(state).items() if name.startswith(("norm.", "head."))}


def official_architecture(
    weights: Mapping[str, Tensor], window: int | None = None, bias_window: int | None = None
) -> Architecture:
    """The network that an official state dict belongs to, read from its keys and shapes; see `load_official`.

    Raises:
        EradioError: a weight that tells it is missing.
    """
    stem_width, width = _shape(weights, _ANCHOR, 4)[0], _shape(weights, "patch_embed.conv_down.2.conv.weight", 4)[0]
    count = _count(weights, r"^levels\.(\d+)\.")
    stages = [_stage(weights, f"levels.{index}.blocks", window, bias_window) for index in range(count)]
    data: dict[str, Any] = {"stem": {"width": stem_width}, "stages": stages}
    branches = _count(weights, r"^high_res_neck\.neck_features_proj\.(\d+)\.")
    if branches:
        last = f"high_res_neck.neck_features_proj.{branches - 1}.conv2.weight"
        data["neck"] = {"start": count - branches, "width": _shape(weights, last, 4)[0]}
    if not stages or stages[0]["width"] != width:
        raise EradioError(f"This is no E-RADIO: the stem ends with {width} channels, and no first stage begins there.")
    return Architecture.parse(data, "The official weights")


def _stage(weights: Mapping[str, Tensor], blocks: str, window: int | None, bias_window: int | None) -> dict[str, Any]:
    split = f"{blocks}.cv1.conv.weight"
    here = re.escape(blocks)
    if split in weights:
        depth = _count(weights, rf"^{here}\.m\.(\d+)\.")
        return {"kind": "c2f", "width": _shape(weights, split, 4)[0], "depth": depth}
    first = f"{blocks}.0.attention_blocks.0"
    heads, hidden = _shape(weights, f"{first}.{_BIAS}.cpb_mlp.2.weight", 2)
    built = _tables(weights.get(f"{first}.{_BIAS}.relative_coords_table"))
    window, bias_window = window or built[0], bias_window or built[1]
    if window is None or bias_window is None:
        raise EradioError(
            f"The weights hold no position tables ('{first}.{_BIAS}.relative_coords_table') that tell the window and "
            "the one the network was built with; give 'window' and 'bias_window' (16 for the released ones)."
        )
    entries = [_entry(weights, f"{blocks}.0.attention_blocks.{place}") for place in range(_entries(weights, blocks))]
    channels = _shape(weights, f"{first}.attn.qkv.weight", 2)[1]
    return {
        "kind": "attention",
        "width": channels,
        "depth": _count(weights, rf"^{here}\.(\d+)\."),
        "heads": heads,
        "bias_width": hidden,
        "mlp_ratio": max(_shape(weights, f"{first}.mlp.fc1.weight", 2)[0] // channels, 1),
        "window": window,
        "bias_window": bias_window,
        "pattern": [entry for entry, _ in entries],
        **{name: value for _, knobs in entries for name, value in knobs.items()},
    }


def _entry(weights: Mapping[str, Tensor], block: str) -> tuple[str, dict[str, str]]:
    """One entry of the pattern, and the knobs that its weights tell."""
    if f"{block}.downsample_op.weight" in weights:
        return f"global-sub{_shape(weights, f'{block}.downsample_op.weight', 4)[2]}", {"enter": "conv"}
    if f"{block}.downsample_mixer.conv.weight" in weights:
        return "global-sub2", {"enter": "pool"}
    conv = f"{block}.pre_conv.conv.weight"
    if conv not in weights:
        return "local", {"local_conv": "none"}
    return "local", {"local_conv": "depthwise" if _shape(weights, conv, 4)[1] == 1 else "dense"}


def _tables(offsets: Tensor | None) -> tuple[int | None, int | None]:
    """The window of a table of offsets [1, 2w - 1, 2w - 1, 2], and the window its offsets were divided by."""
    if offsets is None or offsets.ndim != 4:
        return None, None
    window = (offsets.shape[1] + 1) // 2
    farthest = 2.0 ** (3 * float(offsets.abs().max())) - 1
    # A window of one position has no offset that tells what offsets were divided by.
    return window, round(8 * (window - 1) / farthest) + 1 if farthest > 0 else None


def _plain(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a state dict without the prefix that leads to the network."""
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), Mapping):
            return _plain(state[key])
    anchors = [name for name in state if name.endswith(_ANCHOR)]
    if len(anchors) != 1:
        example = next(iter(state), None)
        raise EradioError(
            f"This is no official E-RADIO: {len(anchors)} of its {len(state)} keys end in '{_ANCHOR}', where one "
            f"does in an E-RADIO (the first key is '{example}')."
        )
    prefix = anchors[0].removesuffix(_ANCHOR)
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and isinstance(value, Tensor)
    }


def _renamed(name: str, weights: Mapping[str, Tensor]) -> str:
    block = re.match(_BLOCK, name)
    if block:
        place = int(block[2]) * _entries(weights, block[1]) + int(block[3])
        name = f"{block[1]}.blocks.{place}.{name[block.end() :]}"
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _entries(weights: Mapping[str, Tensor], blocks: str) -> int:
    return _count(weights, rf"^{re.escape(blocks)}\.0\.attention_blocks\.(\d+)\.")


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number that the pattern finds among the names."""
    return 1 + max((int(match[1]) for match in (re.match(pattern, name) for name in weights) if match), default=-1)


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights:
        raise EradioError(f"This is no E-RADIO of the second generation: the weight '{name}' is missing.")
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions:
        raise EradioError(f"This is no E-RADIO: '{name}' has the shape {list(shape)}, not {dimensions} dimensions.")
    return shape
