"""Exactly one network, as data: stem, stages and neck."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from eradio.description import Description

Size = Annotated[int, Field(strict=True, ge=1)]
Window = Size | tuple[Size, Size]


def _known(entry: object) -> object:
    if not re.fullmatch("local|global|linear|global-sub[2-8]", str(entry)):
        raise ValueError("no such attention; use local, global, linear, or global-subN with N from 2 to 8")
    return entry


Entry = Annotated[str, BeforeValidator(_known)]
"""One sub-block of an attention pattern; see `AttentionStage`."""

STEM_STRIDE = 4


class Stem(Description):
    """From pixels to the first stage's width, at stride 4.

    "conv" is two strided 3x3 convolutions with `width` channels between them; "unshuffle" moves each 4x4 block of
    pixels into channels and applies one 3x3 convolution.
    """

    kind: Literal["conv", "unshuffle"] = "conv"
    width: Size | None = None

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        if self.kind == "conv" and self.width is None:
            raise ValueError("a stem of kind conv needs 'width', the channels between its convolutions; add it")
        _set(self, width=self.width if self.kind == "conv" else None)
        return self


class ConvStage(Description):
    """A convolutional stage: `depth` blocks of one kind, or one C2f block of `depth` bottlenecks."""

    kind: Literal["c2f", "residual", "convnext", "fused_mbconv"]
    width: Size
    depth: Size
    expansion: Size | None = None
    """Hidden width over width, of convnext and fused_mbconv blocks (4 if not given)."""
    kernel: Size | None = None
    """Side of the depth-wise convolution of convnext blocks (7 if not given)."""

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        if self.kind == "c2f" and self.width % 2:
            raise ValueError(f"width {self.width} is odd, but a c2f stage works on halves; use an even width")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even, so it has no middle; use an odd one")
        expands, deep = self.kind in ("convnext", "fused_mbconv"), self.kind == "convnext"
        _set(self, expansion=(self.expansion or 4) if expands else None, kernel=(self.kernel or 7) if deep else None)
        return self


class AttentionStage(Description):
    """A transformer stage: `depth` times the sequence of sub-blocks that `pattern` lists.

    An entry of the pattern is "local" (windows on the map itself), "global-subN" (windows on a map N times smaller,
    E-RADIO's sub-sampled global attention), "global" (the whole map at once) or "linear" (the whole map at a cost
    linear in its positions). What the pattern gives no meaning to is None, and a pattern is kept at its shortest
    period, so that equal networks have equal digests.
    """

    kind: Literal["attention"] = "attention"
    width: Size
    depth: Size
    heads: Size
    pattern: Annotated[tuple[Entry, ...], Field(min_length=1)]
    window: Window | None = None
    """Side of the windows, or (height, width), in positions of the map they are cut from; with any windowed entry."""
    bias_window: Size | None = None
    """Side of the window that relative offsets are divided by, whatever the window; None for the window's own."""
    fit: Literal["resize", "pad"] | None = None
    """A map that does not fit the windows is resized once by the stage, or padded by each sub-block."""
    enter: Literal["conv", "pool"] | None = None
    """How sub-sampled entries shrink the map and bring it back; with any sub-sampled entry."""
    local_conv: Literal["dense", "depthwise", "none"] | None = None
    """The 3x3 convolution before local attention; with any local entry."""
    mlp_ratio: Size = 4
    bias_width: Size | None = None
    """Hidden width of the network that computes the position bias (512 if not given); with any softmax attention."""

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads; change one of them")
        period = shortest_period(self.pattern)
        windowed = any(map(is_windowed, period))
        if windowed and self.window is None:
            raise ValueError(f"pattern {list(self.pattern)} attends inside windows; add 'window', their side")
        height, width = window_sides(self.window or 1)
        _set(
            self,
            depth=self.depth * (len(self.pattern) // len(period)),
            pattern=period,
            window=(height if height == width else (height, width)) if windowed else None,
            bias_window=self.bias_window if windowed else None,
            fit=(self.fit or "resize") if windowed else None,
            enter=(self.enter or "conv") if max(map(subsampling, period)) > 1 else None,
            local_conv=(self.local_conv or "dense") if "local" in period else None,
            bias_width=(self.bias_width or 512) if set(period) != {"linear"} else None,
        )
        return self


class Neck(Description):
    """Fusion of the maps of all stages from `start` on, at the resolution of stage `start`."""

    start: Annotated[int, Field(strict=True, ge=0)]
    width: Size
    branch: Literal["resample", "shuffle", "deconv"] = "resample"
    """Nearest up-sampling, depth-wise 3x3 and 1x1 (second generation), 1x1 and pixel shuffle (first), or a
    transposed convolution."""


Stage = Annotated[ConvStage | AttentionStage, Field(discriminator="kind")]


class Architecture(Description):
    """One network of the space around E-RADIO (arXiv 2312.06709, appendix A.2)."""

    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    down: Literal["conv", "unshuffle"] | None = None
    """Between stages: a strided 3x3 convolution (if not given), or 2x2 blocks into channels and a 1x1 convolution."""
    neck: Neck | None = None
    """Without a neck the last stage's map is the output."""

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        last = len(self.stages) - 1
        _set(self, down=(self.down or "conv") if last else None)
        if self.neck is None:
            return self
        if self.neck.start > last:
            raise ValueError(
                f"the neck starts at stage {self.neck.start}, but the last stage is {last} (counted from 0); "
                "lower 'neck.start'"
            )
        if self.neck.start == last and self.neck.width == self.stages[last].width:
            _set(self, neck=None)  # its only branch would be the identity
        return self

    def total_stride(self) -> int:
        """Pixels a side for one position of the last stage's map."""
        return STEM_STRIDE << (len(self.stages) - 1)

    def output_stride(self) -> int:
        """Pixels a side for one position of the spatial output."""
        return STEM_STRIDE << (len(self.stages) - 1 if self.neck is None else self.neck.start)

    def output_width(self) -> int:
        """Channels of the spatial output and of the summary."""
        return self.stages[-1].width if self.neck is None else self.neck.width


def is_windowed(entry: str) -> bool:
    """Whether an entry of a pattern attends inside windows."""
    return entry not in ("global", "linear")


def subsampling(entry: str) -> int:
    """How many times smaller the map is that an entry of a pattern attends on."""
    return int(entry[-1]) if entry.startswith("global-sub") else 1


def window_sides(window: Window) -> tuple[int, int]:
    """Height and width of a window."""
    return window if isinstance(window, tuple) else (window, window)


def shortest_period(pattern: tuple[str, ...]) -> tuple[str, ...]:
    """The shortest sequence that gives `pattern` when repeated."""
    lengths = (n for n in range(1, len(pattern) + 1) if len(pattern) % n == 0)
    return next(pattern[:n] for n in lengths if pattern[:n] * (len(pattern) // n) == pattern)


def _set(description: Description, **values: object) -> None:
    """Write normalised values: a description is frozen for everyone but its own validator."""
    for name, value in values.items():
        object.__setattr__(description, name, value)
