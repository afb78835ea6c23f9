"""Exactly one network, as data: stem, stages and neck."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description

Size = Annotated[int, Field(strict=True, ge=1)]

GLOBAL = 0
"""Entry of an attention pattern: attention over the whole map."""
LOCAL = 1
"""Entry of an attention pattern: attention inside windows of the full-resolution map."""

STEM_STRIDE = 4


class Stem(Description):
    """Two strided 3x3 convolutions, of stride 4 together; `width` is the width between them."""

    kind: Literal["conv"] = "conv"
    width: Size


class ConvStage(Description):
    """A convolutional stage: one C2f block of `depth` bottlenecks, or `depth` plain residual blocks."""

    kind: Literal["c2f", "residual"]
    width: Size
    depth: Size

    @model_validator(mode="after")
    def _two_halves(self) -> Self:
        if self.kind == "c2f" and self.width % 2:
            raise ValueError(f"width {self.width} is odd, but a c2f stage works on halves; use an even width")
        return self


class AttentionStage(Description):
    """A transformer stage: `depth` times the sequence of sub-blocks that `pattern` lists.

    An entry of the pattern is a sub-sampling ratio: 1 for windows on the map itself ("local"), r > 1 for
    windows on a map r times smaller, 0 for attention over the whole map. What the pattern gives no meaning
    to is None, and a pattern is kept at its shortest period, so that equal networks have equal digests.
    """

    kind: Literal["attention"] = "attention"
    width: Size
    depth: Size
    heads: Size
    pattern: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)]
    window: Size | None = None
    """Side of the windows in positions of the map they are cut from; with any windowed entry."""
    fit: Literal["resize", "pad"] | None = None
    """A map that does not fit the windows is resized once by the stage, or padded by each sub-block."""
    enter: Literal["conv", "pool"] | None = None
    """How sub-sampled entries shrink the map; with any ratio above 1."""
    local_conv: Literal["dense", "depthwise", "none"] | None = None
    """The 3x3 convolution before local attention; with any entry 1."""
    mlp_ratio: Size = 4
    bias_width: Size = 512
    """Hidden width of the network that computes the position bias."""

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads; change one of them")
        period = shortest_period(self.pattern)
        windowed = any(ratio != GLOBAL for ratio in period)
        if windowed and self.window is None:
            raise ValueError(f"pattern {list(self.pattern)} attends inside windows; add 'window', their side")
        kept = {
            "depth": self.depth * (len(self.pattern) // len(period)),
            "pattern": period,
            "window": self.window if windowed else None,
            "fit": (self.fit or "resize") if windowed else None,
            "enter": (self.enter or "conv") if max(period) > LOCAL else None,
            "local_conv": (self.local_conv or "dense") if LOCAL in period else None,
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)  # frozen for everyone but its own validator
        return self


class Neck(Description):
    """Fusion of the maps of all stages from `start` on, at the resolution of stage `start`."""

    start: Annotated[int, Field(strict=True, ge=0)]
    width: Size
    branch: Literal["resample", "shuffle"] = "resample"
    """Nearest up-sampling, depth-wise 3x3 and 1x1 (second generation), or 1x1 and pixel shuffle (first)."""


Stage = Annotated[ConvStage | AttentionStage, Field(discriminator="kind")]


class Architecture(Description):
    """One network of the space around E-RADIO (arXiv 2312.06709, appendix A.2)."""

    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    neck: Neck | None = None
    """Without a neck the last stage's map is the output."""

    @model_validator(mode="after")
    def _normalise(self) -> Self:
        if self.neck is None:
            return self
        last = len(self.stages) - 1
        if self.neck.start > last:
            raise ValueError(
                f"the neck starts at stage {self.neck.start}, but the last stage is {last} (counted from 0); "
                "lower 'neck.start'"
            )
        if self.neck.start == last and self.neck.width == self.stages[last].width:
            object.__setattr__(self, "neck", None)  # its only branch would be the identity
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


def shortest_period(pattern: tuple[int, ...]) -> tuple[int, ...]:
    """The shortest sequence that gives `pattern` when repeated."""
    lengths = (n for n in range(1, len(pattern) + 1) if len(pattern) % n == 0)
    return next(pattern[:n] for n in lengths if pattern[:n] * (len(pattern) // n) == pattern)
