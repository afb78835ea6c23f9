"""Which architectures may be sampled: the choices of every knob, and when a knob has a meaning."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator

from eradio.description import Description
from eradio.errors import EradioError
from eradio.search_space.architecture import (
    GLOBAL,
    LOCAL,
    Architecture,
    AttentionStage,
    ConvStage,
    Neck,
    Size,
    Stage,
    Stem,
    shortest_period,
)


def _distinct(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(choices)) < len(choices):
        raise ValueError(f"the choices {list(choices)} name one twice; remove it")
    return choices


_Rules = (Field(min_length=1), AfterValidator(_distinct))
Sizes = Annotated[tuple[Size, ...], *_Rules]
Pattern = Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)]
Ask = Callable[[str, Sequence[Any]], Any]
"""Gives the value of a knob, by its name and its choices."""


class Trial(Protocol):
    """What a space needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """One of low, low + step, ..., high."""


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
            if self.window is None and any(ratio != GLOBAL for ratio in pattern):
                raise ValueError(f"pattern {list(pattern)} attends inside windows; add 'window', their sides")
        return self


class StageChoices(Description):
    """Knobs of one stage; its width is `factor` times that of the first stage."""

    kind: Annotated[tuple[Literal["c2f", "residual", "attention"], ...], *_Rules]
    factor: Sizes
    depth: Sizes
    attention: AttentionChoices | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if ("attention" in self.kind) != (self.attention is not None):
            raise ValueError("the kind 'attention' and a section 'attention' go together; add the other")
        return self


class NeckChoices(Description):
    """Knobs of the neck."""

    start: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], *_Rules]
    width: Sizes
    branch: Annotated[tuple[Literal["resample", "shuffle"], ...], *_Rules] = ("resample",)


class SearchSpace(Description):
    """All architectures that may be sampled, as lists of choices.

    A knob with one choice is no parameter of a trial, and neither is one without a meaning: a window where
    every attention is global, an entry operator where nothing is sub-sampled, a 3x3 where none is local.
    """

    name: str
    stem_width: Sizes
    width: Sizes
    """Width of the first stage, of which the others are multiples."""
    stages: Annotated[tuple[StageChoices, ...], Field(min_length=1)]
    neck: NeckChoices | None = None

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if self.stages[0].factor != (1,):
            raise ValueError("the first stage's factor must be [1], for 'width' is its width")
        if self.neck is not None and max(self.neck.start) >= len(self.stages) - 1:
            raise ValueError(f"the neck must start before the last stage, {len(self.stages) - 1}")
        for index, stage in enumerate(self.stages):
            heads = stage.attention.heads if stage.attention else (1,)
            for base, factor, head in product(self.width, stage.factor, heads):
                width = base * factor
                if width % head:
                    raise ValueError(f"stage {index}: width {width} is not divisible by {head} heads")
                if "c2f" in stage.kind and width % 2:
                    raise ValueError(f"stage {index}: c2f needs an even width, not {width}")
        return self

    @classmethod
    def named(cls, name: str) -> Self:
        """A space that is shipped, by its name, or the YAML file at a path.

        Raises:
            EradioError: there is no such space, or the file describes none.
        """
        if name.endswith((".yaml", ".yml")):
            return cls.from_yaml(name)
        folder = Path(str(files("eradio.search_space"))) / "spaces"
        shipped = sorted(path.stem for path in folder.glob("*.yaml"))
        if name not in shipped:
            known = ", ".join(shipped)
            raise EradioError(f"There is no space '{name}'; use {known} or the path of a YAML file.")
        return cls.from_yaml(folder / f"{name}.yaml")

    def suggest(self, trial: Trial) -> Architecture:
        """The architecture that an Optuna trial proposes."""

        def ask(name: str, choices: Sequence[Any]) -> Any:
            if len(choices) == 1:
                return choices[0]
            steps = _even_steps(choices)
            if steps is None:
                return trial.suggest_categorical(name, choices)
            return trial.suggest_int(name, steps.start, steps[-1], step=steps.step)

        return self._read(ask)

    def encode(self, architecture: Architecture) -> dict[str, Any]:
        """The parameters with which a trial proposes this architecture: the inverse of `suggest`.

        Raises:
            EradioError: the architecture is not a member, and which knob says so.
        """
        if len(architecture.stages) != len(self.stages) or (architecture.neck is None) != (self.neck is None):
            neck = "no neck" if self.neck is None else "a neck"
            raise EradioError(
                f"The architecture is not in the space '{self.name}', whose members have "
                f"{len(self.stages)} stages and {neck}; change the architecture or search another space."
            )
        values = _values(architecture)
        parameters = {}

        def ask(name: str, choices: Sequence[Any]) -> Any:
            value = values.get(name)
            if value not in choices:
                offered = ", ".join(map(str, choices))
                raise EradioError(
                    f"The architecture is not in the space '{self.name}': its {name} is {value}, "
                    f"and the space offers {offered}; change the architecture or widen the space."
                )
            if len(choices) > 1:
                parameters[name] = value
            return value

        self._read(ask)
        return parameters

    def _read(self, ask: Ask) -> Architecture:
        width = ask("width", self.width)
        stem = Stem(width=ask("stem_width", self.stem_width))
        stages = tuple(_read_stage(stage, f"stage{i}", width, ask) for i, stage in enumerate(self.stages))
        neck = self.neck and Neck(**_read_all(self.neck, "neck", ("start", "width", "branch"), ask))
        return Architecture(stem=stem, stages=stages, neck=neck)


def _read_stage(choices: StageChoices, prefix: str, base: int, ask: Ask) -> Stage:
    kind = ask(f"{prefix}_kind", choices.kind)
    width = base * ask(f"{prefix}_factor", choices.factor)
    depth = ask(f"{prefix}_depth", choices.depth)
    attention = choices.attention
    if attention is None or kind != "attention":
        return ConvStage(kind=kind, width=width, depth=depth)
    text = ask(f"{prefix}_pattern", [_text(pattern) for pattern in attention.pattern])
    pattern = tuple(map(int, text.split(",")))
    names = ["heads", "mlp_ratio", "bias_width"]
    names += ["window", "fit"] if any(ratio != GLOBAL for ratio in pattern) else []
    names += ["enter"] if max(pattern) > LOCAL else []
    names += ["local_conv"] if LOCAL in pattern else []
    knobs = _read_all(attention, prefix, names, ask)
    return AttentionStage(width=width, depth=depth, pattern=pattern, **knobs)


def _read_all(choices: Description, prefix: str, names: Sequence[str], ask: Ask) -> dict[str, Any]:
    return {name: ask(f"{prefix}_{name}", getattr(choices, name)) for name in names}


def _values(architecture: Architecture) -> Mapping[str, Any]:
    base = architecture.stages[0].width
    values: dict[str, Any] = {"width": base, "stem_width": architecture.stem.width}
    for index, stage in enumerate(architecture.stages):
        whole = stage.width % base == 0
        values[f"stage{index}_factor"] = stage.width // base if whole else stage.width / base
        knobs = stage.model_dump(exclude={"width"})
        values |= {f"stage{index}_{name}": value for name, value in knobs.items()}
        if isinstance(stage, AttentionStage):
            values[f"stage{index}_pattern"] = _text(stage.pattern)
    if architecture.neck is not None:
        values |= {f"neck_{name}": value for name, value in architecture.neck.model_dump().items()}
    return values


def _text(pattern: Sequence[int]) -> str:
    return ",".join(map(str, pattern))


def _even_steps(choices: Sequence[Any]) -> range | None:
    """The range that visits exactly these choices in order, so that a sampler knows that they are ordered."""
    if not all(isinstance(choice, int) for choice in choices):
        return None
    steps = range(choices[0], choices[-1] + 1, max(choices[1] - choices[0], 1))
    return steps if list(steps) == list(choices) else None
