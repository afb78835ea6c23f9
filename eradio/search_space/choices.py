"""The choices that a search space offers for each part of a network, checked when they are read."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from eradio.description import Description
from eradio.search_space.architecture import Entry, Size, is_windowed, shortest_period


def distinct(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    """The choices, refused if one stands there twice."""
    if len(set(choices)) < len(choices):
        raise ValueError(f"the choices {list(choices)} name one twice; remove it")
    return choices


_Rules = (Field(min_length=1), AfterValidator(distinct))
Sizes = Annotated[tuple[Size, ...], *_Rules]
Pattern = Annotated[tuple[Entry, ...], Field(min_length=1)]


class StemChoices(Description):
    """Knobs of the stem; its width has a meaning with the kind conv."""

    kind: Annotated[tuple[Literal["conv", "unshuffle"], ...], *_Rules] = ("conv",)
    width: Sizes | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if ("conv" in self.kind) != (self.width is not None):
            raise ValueError("the kind 'conv' and 'width' go together; add the other")
        return self


class ConvChoices(Description):
    """Knobs of a stage that only some convolutional kinds have; see `ConvStage` for their meaning."""

    expansion: Sizes = (4,)
    kernel: Sizes = (7,)

    @model_validator(mode="after")
    def _odd(self) -> Self:
        for kernel in self.kernel:
            if kernel % 2 == 0:
                raise ValueError(f"kernel {kernel} is even, so it has no middle; use an odd one")
        return self


class AttentionChoices(Description):
    """Knobs of a stage that only attention has; see `AttentionStage` for their meaning."""

    pattern: Annotated[tuple[Pattern, ...], *_Rules]
    heads: Sizes
    window: Sizes | None = None
    fit: Annotated[tuple[Literal["resize", "pad"], ...], *_Rules] = ("resize",)
    enter: Annotated[tuple[Literal["conv", "pool"], ...], *_Rules] = ("conv",)
    local_conv: Annotated[tuple[Literal["dense", "depthwise", "none"], ...], *_Rules] = ("dense",)
    mlp_ratio: Sizes = (4,)
    bias_width: Sizes = (512,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for pattern in self.pattern:
            period = list(shortest_period(pattern))
            if len(period) < len(pattern):
                raise ValueError(f"pattern {list(pattern)} repeats {period}; use {period} and a larger depth")
            if self.window is None and any(map(is_windowed, pattern)):
                raise ValueError(f"pattern {list(pattern)} attends inside windows; add 'window', their sides")
        return self


class StageChoices(Description):
    """Knobs of one stage; its width is `factor` times that of the first stage."""

    kind: Annotated[tuple[Literal["c2f", "residual", "convnext", "fused_mbconv", "attention"], ...], *_Rules]
    factor: Sizes
    depth: Sizes
    conv: ConvChoices = ConvChoices()
    attention: AttentionChoices | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if ("attention" in self.kind) != (self.attention is not None):
            raise ValueError("the kind 'attention' and a section 'attention' go together; add the other")
        return self

    def refuse_widths(self, widths: Sequence[int], index: int) -> None:
        """Check every width the stage can have.

        Raises:
            ValueError: one is not divisible by a number of heads, or odd where a C2f needs halves.
        """
        for width in widths:
            for heads in self.attention.heads if self.attention else ():
                if width % heads:
                    raise ValueError(f"stage {index}: width {width} is not divisible by {heads} heads")
            if "c2f" in self.kind and width % 2:
                raise ValueError(f"stage {index}: c2f needs an even width, not {width}")


class NeckChoices(Description):
    """Knobs of the neck; its width is given as such, or as `factor` times that of the first stage."""

    present: Annotated[tuple[bool, ...], *_Rules] = (True,)
    start: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], *_Rules]
    width: Sizes | None = None
    factor: Sizes | None = None
    branch: Annotated[tuple[Literal["resample", "shuffle", "deconv"], ...], *_Rules] = ("resample",)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width is None) == (self.factor is None):
            raise ValueError("the neck needs either 'width' or 'factor'; give one of them")
        return self
