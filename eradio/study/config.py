"""A study as one validated file: space, recipe, target, sampler and budget."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description, digest_of, read_yaml
from eradio.distill.recipe import Recipe
from eradio.errors import EradioError
from eradio.profile import Target

DEFAULT = Path(__file__).with_name("default.yaml")


class StudyConfig(Description):
    """SearchSpace x Recipe x Target x sampler + budget (see docs/architecture.md)."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")
    space: str = Field("tiny", description="a shipped space's name, or the path of a YAML file")
    named: tuple[str, ...] = Field((), description="architectures of the space that are tried first")
    recipe: Recipe = Recipe()
    target: Target = Target()
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = Field(0, ge=0)
    trials: int = Field(24, ge=1, description="distinct candidates to complete")
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
        if self.target.resolution not in taught:
            raise ValueError(
                f"students are taught at {', '.join(map(str, taught))} pixels (recipe.partitions) and measured at "
                f"{self.target.resolution} (target.resolution); give both the same"
            )
        return self

    def identity(self) -> str:
        """Digest of all but the budget: what must not change while a run folder is continued."""
        return digest_of(self.lasting())

    def lasting(self) -> dict[str, Any]:
        """All but the budget, as plain data."""
        plain = self.model_dump(mode="json", exclude={"trials", "finalists", "finalist_steps"})
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


def read_config(path: Path, *, data: Path | None = None, trials: int | None = None) -> StudyConfig:
    """A study's file, with the command line's folder of pictures and budget in place of its own.

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
    return StudyConfig.parse(plain, str(path))
