"""An architecture as a block diagram: rows of data, then text or SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import torch

from eradio.search_space.architecture import Architecture, AttentionStage, Neck, Stage, Stem, window_sides
from eradio.search_space.backbone import Backbone
from eradio.search_space.maps import Side, round_up

_CONVS = {
    "c2f": "C2f",
    "residual": "3x3 + 3x3 residual",
    "convnext": "depth-wise {kernel}x{kernel} + MLP x{expansion}",
    "fused_mbconv": "fused MBConv x{expansion}",
}


@dataclass(frozen=True)
class Block:
    """One box of the diagram: what it does, and the map that leaves it."""

    name: str
    words: str
    width: int
    side: Side
    parameters: int
    branch: str | None = None
    """Its way into the neck, where it has one."""


def blocks_of(architecture: Architecture, side: Side) -> tuple[Block, ...]:
    """The boxes from picture to output, for pictures of `side` (height, width) pixels."""
    with torch.device("meta"):
        body = Backbone(architecture)
    padded = [round_up(length, architecture.total_stride()) for length in side]
    stages = architecture.stages
    found = [Block("stem", _stem(architecture.stem), stages[0].width, _at(padded, 4), _count(body, "stem"))]
    for index, (stage, level) in enumerate(zip(stages, body.levels, strict=True)):
        here = _at(padded, 4 << index)
        branch = _branch(architecture.neck, index, stage)
        found.append(Block(f"stage {index}", _stage(stage), stage.width, here, _count(level, "blocks"), branch))
        if index + 1 < len(stages):
            words = "strided 3x3 conv" if architecture.down == "conv" else "2x2 blocks into channels + 1x1 conv"
            following = stages[index + 1].width
            found.append(Block("down", words, following, _at(padded, 8 << index), _count(level, "down")))
    if architecture.neck is not None:
        words = f"sum of the branches at stride {architecture.output_stride()}"
        output = _at(padded, architecture.output_stride())
        found.append(Block("neck", words, architecture.neck.width, output, _count(body, "neck")))
    return tuple(found)


def as_text(name: str, architecture: Architecture, side: Side) -> str:
    """The diagram in characters."""
    blocks = blocks_of(architecture, side)
    rows = [
        f"{name}, {side[0]}x{side[1]} pixels, {_millions(sum(block.parameters for block in blocks))} parameters",
        "",
    ]
    rows.append(f"  picture   3 x {side[0]}x{side[1]}")
    for block in blocks:
        shape = f"{block.width} x {block.side[0]}x{block.side[1]}"
        if block.name != "down":
            rows.append("     │")
        rows.append(f"  {block.name:<9} {shape:<16} {_millions(block.parameters):>8}   {block.words}")
        if block.branch:
            rows.append(f"     ├──▶ neck: {block.branch}")
    summary = f"  summary   {blocks[-1].width:<16} {'':>8}   mean over the positions of the spatial output"
    return "\n".join([*rows, "     │", summary])


_ROW, _BOX, _WIDTH = 64, 44, 560


def as_svg(name: str, architecture: Architecture, side: Side) -> str:
    """The diagram as a stand-alone SVG picture."""
    blocks = blocks_of(architecture, side)
    stages = [block for block in blocks if block.name != "neck"]
    neck = next((block for block in blocks if block.name == "neck"), None)
    height = 60 + _ROW * len(stages) + 70
    total = _millions(sum(block.parameters for block in blocks))
    title = f"{name}: {total} parameters, {side[0]}x{side[1]} pixels"
    parts = [_text(20, 30, title, size=16, weight="bold")]
    right = 20 + _WIDTH + 40
    for row, block in enumerate(stages):
        top = 50 + _ROW * row
        parts.append(_box(20, top, _WIDTH, block))
        if row:
            parts.append(_arrow(20 + _WIDTH / 2, top - (_ROW - _BOX), 20 + _WIDTH / 2, top))
        if block.branch:
            parts.append(_arrow(20 + _WIDTH, top + _BOX / 2, right, top + _BOX / 2))
            parts.append(_text(right + 8, top + _BOX / 2 + 4, f"neck: {block.branch}", size=11))
    bottom = 50 + _ROW * len(stages)
    output = neck or stages[-1]
    shape = f"{output.width} x {output.side[0]}x{output.side[1]}"
    ending = f"neck, {output.words}, {_millions(output.parameters)}: " if neck else ""
    parts.append(
        _text(20, bottom + 14, f"{ending}spatial features {shape}; summary {output.width} (their mean)", size=12)
    )
    width = right + 250
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height - 30}" width="{width}" '
        f'height="{height - 30}" font-family="sans-serif" role="img" aria-label="{escape(title)}">\n'
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#333"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


_COLOURS = {"stem": "#e8e8e8", "down": "#f4f4f4", "conv": "#cfe3f7", "attention": "#fbe0c4"}


def _box(left: float, top: float, width: float, block: Block) -> str:
    kind = block.name if block.name in _COLOURS else "attention" if "heads" in block.words else "conv"
    shape = f"{block.width} x {block.side[0]}x{block.side[1]}, {_millions(block.parameters)}"
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{_BOX}" rx="5" fill="{_COLOURS[kind]}" stroke="#555"/>'
        + _text(left + 10, top + 18, f"{block.name}: {shape}", size=13, weight="bold")
        + _text(left + 10, top + 35, block.words, size=11)
    )


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="#333" marker-end="url(#tip)"/>'


def _text(x: float, y: float, text: str, *, size: int, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}">{escape(text)}</text>'


def _at(side: Sequence[int], stride: int) -> Side:
    return side[0] // stride, side[1] // stride


def _count(module: torch.nn.Module, part: str) -> int:
    return sum(parameter.numel() for parameter in module.get_submodule(part).parameters())


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count / 1e3:.1f} k"


def _stem(stem: Stem) -> str:
    if stem.kind == "unshuffle":
        return "4x4 blocks into channels + 3x3 conv"
    return f"two strided 3x3 convs, {stem.width} between them"


def _stage(stage: Stage) -> str:
    if not isinstance(stage, AttentionStage):
        words = _CONVS[stage.kind].format(kernel=stage.kernel, expansion=stage.expansion)
        return f"{words} of {stage.depth} bottlenecks" if stage.kind == "c2f" else f"{stage.depth} x {words}"
    words = f"{stage.depth} x [{', '.join(stage.pattern)}]"
    if stage.window is not None:
        words += ", windows " + "x".join(map(str, window_sides(stage.window)))
    words += f", {stage.heads} heads, MLP x{stage.mlp_ratio}"
    if stage.enter == "pool":
        words += ", pooled"
    return words if stage.local_conv in (None, "none") else f"{words}, {stage.local_conv} 3x3"


_BRANCHES = {
    "resample": "nearest, depth-wise 3x3, 1x1",
    "shuffle": "1x1, pixel shuffle",
    "deconv": "transposed conv",
}


def _branch(neck: Neck | None, index: int, stage: Stage) -> str | None:
    if neck is None or index < neck.start:
        return None
    ratio = 1 << (index - neck.start)
    if ratio == 1 and stage.width == neck.width:
        return "as it is"
    return f"{_BRANCHES[neck.branch]}, x{ratio}"
