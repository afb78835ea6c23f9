"""Which architectures may be sampled: the choices of every knob, and when a knob has a meaning."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator

from eradio.description import Description
from eradio.errors import EradioError
from eradio.search_space.architecture import (
    Architecture,
    AttentionStage,
    ConvStage,
    Neck,
    Stage,
    Stem,
    is_windowed,
    subsampling,
)
from eradio.search_space.choices import NeckChoices, Sizes, StageChoices, StemChoices, distinct

Ask = Callable[[str, Sequence[Any]], Any]
"""Gives the value of a knob, by its name and its choices."""


class Trial(Protocol):
    """What a space needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """One of low, low + step, ..., high."""


class SearchSpace(Description):
    """All architectures that may be sampled, as lists of choices.

    A knob with one choice is no parameter of a trial, and neither is one without a meaning: a window where
    every attention is global, an entry operator where nothing is sub-sampled, a 3x3 where none is local.
    """

    name: str
    stem: StemChoices
    width: Sizes
    """Width of the first stage, of which the others are multiples."""
    down: Annotated[tuple[Literal["conv", "unshuffle"], ...], Field(min_length=1), AfterValidator(distinct)] = ("conv",)
    stages: Annotated[tuple[StageChoices, ...], Field(min_length=1)]
    neck: NeckChoices | None = None

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if self.stages[0].factor != (1,):
            raise ValueError("the first stage's factor must be [1], for 'width' is its width")
        if self.neck is not None and max(self.neck.start) >= len(self.stages) - 1:
            raise ValueError(f"the neck must start before the last stage, {len(self.stages) - 1}")
        for index, stage in enumerate(self.stages):
            stage.refuse_widths([base * factor for base in self.width for factor in stage.factor], index)
        return self

    @classmethod
    def named(cls, name: str) -> Self:
        """A space that is shipped, by its name, or the YAML file at a path.

        Raises:
            EradioError: there is no such space, or the file describes none.
        """
        if name.endswith((".yaml", ".yml")):
            return cls.from_yaml(name)
        if name not in shipped():
            known = ", ".join(shipped())
            raise EradioError(f"There is no space '{name}'; use {known} or the path of a YAML file.")
        return cls.from_yaml(_folder() / f"{name}.yaml")

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
        if len(architecture.stages) != len(self.stages) or (architecture.neck is not None and self.neck is None):
            neck = "no neck" if self.neck is None else "at most one neck"
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

        if self._read(ask) != architecture:
            raise EradioError(
                f"The architecture is not in the space '{self.name}', whose members leave 'bias_window' to the window; "
                "remove it, or search another space."
            )
        return parameters

    def count(self) -> int:
        """How many architectures the space holds, exactly."""
        base = self.width[0]
        parts: list[Callable[[Ask], Any]] = [partial(_read_stage, stage, "", base) for stage in self.stages]
        parts += [self._read_stem, self._read_down, partial(self._read_neck, base)]
        return len(self.width) * prod(sum(1 for _ in _leaves(part)) for part in parts)

    def members(self) -> Iterator[Architecture]:
        """Every architecture of the space, once."""
        return _leaves(self._read)

    def _read(self, ask: Ask) -> Architecture:
        width = ask("width", self.width)
        stem = self._read_stem(ask)
        stages = tuple(_read_stage(stage, f"stage{i}_", width, ask) for i, stage in enumerate(self.stages))
        down, neck = self._read_down(ask), self._read_neck(width, ask)
        return Architecture(stem=stem, stages=stages, down=down, neck=neck)

    def _read_stem(self, ask: Ask) -> Stem:
        kind = ask("stem_kind", self.stem.kind)
        width = ask("stem_width", self.stem.width or ()) if kind == "conv" else None
        return Stem(kind=kind, width=width)

    def _read_down(self, ask: Ask) -> Any:
        return ask("down", self.down) if len(self.stages) > 1 else None

    def _read_neck(self, base: int, ask: Ask) -> Neck | None:
        if self.neck is None or not ask("neck_present", self.neck.present):
            return None
        start = ask("neck_start", self.neck.start)
        factors = self.neck.factor
        width = ask("neck_width", self.neck.width or ()) if factors is None else base * ask("neck_factor", factors)
        return Neck(start=start, width=width, branch=ask("neck_branch", self.neck.branch))


def shipped() -> tuple[str, ...]:
    """Names of the spaces that come with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def _folder() -> Path:
    return Path(str(files("eradio.search_space"))) / "spaces"


def _leaves(read: Callable[[Ask], Any]) -> Iterator[Any]:
    """All that `read` can give: its questions answered in every way, where an answer may lead to other questions."""
    paths = [list[int]()]
    while paths:
        answers, place = paths.pop(), 0

        def ask(name: str, choices: Sequence[Any], answers: list[int] = answers) -> Any:
            nonlocal place
            if place == len(answers):
                paths.extend([*answers, other] for other in range(1, len(choices)))
                answers.append(0)
            place += 1
            return choices[answers[place - 1]]

        yield read(ask)


def _read_stage(choices: StageChoices, prefix: str, base: int, ask: Ask) -> Stage:
    kind = ask(f"{prefix}kind", choices.kind)
    width = base * ask(f"{prefix}factor", choices.factor)
    depth = ask(f"{prefix}depth", choices.depth)
    attention = choices.attention
    if attention is None or kind != "attention":
        names = ["expansion"] if kind in ("convnext", "fused_mbconv") else []
        names += ["kernel"] if kind == "convnext" else []
        return ConvStage(kind=kind, width=width, depth=depth, **_read_all(choices.conv, prefix, names, ask))
    pattern = tuple(ask(f"{prefix}pattern", [",".join(pattern) for pattern in attention.pattern]).split(","))
    names = ["heads", "mlp_ratio"]
    names += ["bias_width"] if set(pattern) != {"linear"} else []
    names += ["window", "fit"] if any(map(is_windowed, pattern)) else []
    names += ["enter"] if max(map(subsampling, pattern)) > 1 else []
    names += ["local_conv"] if "local" in pattern else []
    knobs = _read_all(attention, prefix, names, ask)
    return AttentionStage(width=width, depth=depth, pattern=pattern, **knobs)


def _read_all(choices: Description, prefix: str, names: Sequence[str], ask: Ask) -> dict[str, Any]:
    return {name: ask(f"{prefix}{name}", getattr(choices, name)) for name in names}


def _values(architecture: Architecture) -> Mapping[str, Any]:
    base, neck = architecture.stages[0].width, architecture.neck
    stem = architecture.stem
    values: dict[str, Any] = {
        "width": base,
        "stem_kind": stem.kind,
        "stem_width": stem.width,
        "down": architecture.down,
    }
    values["neck_present"] = neck is not None
    for index, stage in enumerate(architecture.stages):
        knobs = {**stage.model_dump(exclude={"width"}), "factor": _over(stage.width, base)}
        if isinstance(stage, AttentionStage):
            knobs["pattern"] = ",".join(stage.pattern)
        values |= {f"stage{index}_{name}": value for name, value in knobs.items()}
    if neck is not None:
        values |= {f"neck_{name}": value for name, value in neck.model_dump().items()}
        values["neck_factor"] = _over(neck.width, base)
    return values


def _over(width: int, base: int) -> float:
    return width / base if width % base else width // base


def _even_steps(choices: Sequence[Any]) -> range | None:
    """The range that visits exactly these choices in order, so that a sampler knows that they are ordered."""
    if not all(type(choice) is int for choice in choices):
        return None
    steps = range(choices[0], choices[-1] + 1, max(choices[1] - choices[0], 1))
    return steps if list(steps) == list(choices) else None
