"""A study as one validated file: space, recipe, target, sampler and budget."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description, digest_of, read_yaml
from eradio.distill.recipe import Recipe
from eradio.errors import EradioError
from eradio.profile import Measurement, Target
from eradio.study.halving import Halving

DEFAULT = Path(__file__).with_name("default.yaml")

_PASSING = {"storage", "trials", "budget", "finalists", "finalist_steps", "cohort", "lease"}
"""What may change while a study goes on: where it is kept, how much is done, and by how many at once."""


class Goal(Description):
    """A hypervolume at which a study is good enough, in loss times images per second."""

    hypervolume: float = Field(gt=0)
    loss: float = Field(gt=0, description="of the reference point, which every point of the front must beat")
    throughput: float = Field(0.0, ge=0, description="of the reference point, in images/s")


class Budget(Description):
    """Where a study ends before it has completed its trials: beyond its time nothing, beyond its goal no candidate."""

    device_hours: float | None = Field(None, gt=0, description="of all workers together, measuring and teaching")
    hours: float | None = Field(None, gt=0, description="on the wall, since the study was begun")
    goal: Goal | None = None


class Constraints(Description):
    """What a candidate must keep to be of use. One that does not is measured, and not taught."""

    throughput: float | None = Field(None, gt=0, description="images/s at least, on the study's target")
    memory_mb: float | None = Field(
        None, gt=0, description="at most, of a process that runs it on the study's target, beyond what it has without"
    )

    def shortfalls(self, measured: Measurement, peak_bytes: int | None) -> dict[str, float]:
        """How far a network is from keeping each, in parts of the limit: positive where it does not."""
        found = {}
        if self.throughput is not None:
            found["throughput"] = 1 - measured.throughput.value / self.throughput
        if self.memory_mb is not None and peak_bytes is not None:
            found["memory"] = peak_bytes / 1e6 / self.memory_mb - 1
        return found


class StudyConfig(Description):
    """SearchSpace x Recipe x Target x sampler + budget (see docs/architecture.md)."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")
    space: str = Field("tiny", description="a shipped space's name, or the path of a YAML file")
    named: tuple[str, ...] = Field((), description="architectures of the space that are tried first")
    earlier: tuple[str, ...] = Field((), description="run folders of studies, whose fronts are tried next")
    recipe: Recipe = Recipe()
    target: Target = Target()
    also_on: tuple[Target, ...] = Field((), description="targets with a front of their own")
    sampler: str = Field(
        "tpe",
        pattern=r"^(tpe|nsga2|nsga3|gp|random|hub:.+)$",
        description="tpe, nsga2, nsga3, gp, random, or a package of OptunaHub (hub:samplers/auto_sampler)",
    )
    seed: int = Field(0, ge=0)
    storage: str | None = Field(None, description="URL of the trials' storage; None for study.db in the run folder")
    trials: int = Field(24, ge=1, description="distinct candidates: taught, halted, or infeasible")
    budget: Budget = Budget()
    constraints: Constraints = Constraints()
    halving: Halving | None = None
    cohort: int = Field(8, ge=1, le=64, description="candidates a worker teaches together where targets are shared")
    lease: float = Field(120.0, ge=1, description="seconds without a sign of life after which a trial is taken over")
    inherit: bool = Field(False, description="whether candidates begin with weights of the most similar student")
    baselines: Literal["tiny", "paper", "none"] = "tiny"
    finalists: int = Field(4, ge=0, description="students of the front that are trained for longer")
    finalist_steps: int = Field(400, ge=1, description="total steps of a finalist")

    @model_validator(mode="after")
    def _longer(self) -> Self:
        if self.finalists and self.finalist_steps < self.recipe.steps:
            raise ValueError(f"finalist_steps must be at least recipe.steps ({self.recipe.steps})")
        return self

    @model_validator(mode="after")
    def _one_resolution(self) -> Self:
        taught = self.recipe.partitions[0].resolution
        for target in self.targets:
            if target.resolution not in taught:
                raise ValueError(
                    f"students are taught at {', '.join(map(str, taught))} pixels (recipe.partitions) and measured at "
                    f"{target.resolution} (target.resolution); give both the same"
                )
        return self

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len({target.digest() for target in self.targets}) < len(self.targets):
            raise ValueError("two of the targets are the same; each has a front of its own")
        if len({target.device for target in self.targets}) > 1:
            raise ValueError("all targets must be of one device, which a worker holds while it measures")
        return self

    @model_validator(mode="after")
    def _judged_before_the_end(self) -> Self:
        if self.halving is not None and self.halving.rungs[-1] >= self.recipe.steps:
            raise ValueError(
                f"the rungs of halving must come before the last one, recipe.steps ({self.recipe.steps}), and "
                f"{self.halving.rungs[-1]} does not"
            )
        return self

    @property
    def targets(self) -> tuple[Target, ...]:
        """All, the study's own first."""
        return (self.target, *self.also_on)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Training steps after each of which a candidate has a score, ascending; the last one ends its training."""
        return (*(self.halving.rungs if self.halving else ()), self.recipe.steps)

    def identity(self) -> str:
        """Digest of all but the budget: what must not change while a run folder is continued."""
        return digest_of(self.lasting())

    def lasting(self) -> dict[str, Any]:
        """All but the budget, as plain data."""
        plain = self.model_dump(mode="json", exclude=_PASSING)
        plain["recipe"] = {**self.recipe.identity(), "steps": self.recipe.steps}
        return plain


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the keys whose values differ between two plain configurations."""
    names: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            names += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            names.append(f"{prefix}{key}")
    return names


def read_config(
    path: Path,
    *,
    data: Path | None = None,
    trials: int | None = None,
    storage: str | None = None,
    name: str | None = None,
) -> StudyConfig:
    """A study's file, with the command line's folder of pictures, budget, storage and name in place of its own.

    Raises:
        EradioError: the file or an option is not valid; the text names the key.
    """
    plain = read_yaml(path)
    if not isinstance(plain, dict):
        raise EradioError(f"{path} must hold keys and values, such as `trials: 24`. Correct the file.")
    if trials is not None:
        if trials < 1:
            raise EradioError(f"--trials must be at least 1, not {trials}.")
        plain["trials"] = trials
    if data is not None:
        if not isinstance(plain.get("recipe") or {}, dict):
            raise EradioError(f"{path}: 'recipe' must hold keys and values, such as `steps: 80`. Correct the file.")
        folder = data.expanduser().resolve()
        plain["recipe"] = {**(plain.get("recipe") or {}), "data": {"kind": "folder", "path": str(folder)}}
        plain["name"] = f"{plain.get('name', 'default')}-{digest_of(str(folder))[:6]}"
    plain |= {key: value for key, value in {"storage": storage, "name": name}.items() if value is not None}
    return StudyConfig.parse(plain, str(path))
