"""How every candidate is taught: one shared recipe, as data."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description, digest_of
from eradio.distill.teachers import TeacherSpec, shipped

# Raised whenever a change of the code changes what a training run computes, so that nothing stale is reused.
CODE_EPOCH = 2

_BUDGET = {"steps", "finalist_steps", "targets"}
_SAMPLE = {"seed", "data", "teachers", "resolution", "batch", "crop", "validation", "stored"}


class ScenesData(Description):
    """The embedded world: endless rendered compositions."""

    kind: Literal["scenes"] = "scenes"
    seed: int = Field(0, ge=0, lt=2**30)


class FolderData(Description):
    """The user's own pictures: every readable file below a folder."""

    kind: Literal["folder"] = "folder"
    path: Path


Data = Annotated[ScenesData | FolderData, Field(discriminator="kind")]


class Crop(Description):
    """Random resized crop of a training picture; validation sees the whole central square."""

    smallest: float = Field(0.6, gt=0, le=1, description="least share of the central square's area")
    flip: bool = True


class Optimiser(Description):
    """AdamW with a warm-up, a stable part and a short linear decay at the end of each rung."""

    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int = Field(20, ge=0, description="steps")
    decay: float = Field(0.25, ge=0, le=1, description="share of the rung's steps")


class SpatialLoss(Description):
    """Weights of the spatial loss (AM-RADIO, arXiv 2312.06709: 0.9 and 0.1)."""

    cosine: float = Field(0.9, ge=0)
    smooth_l1: float = Field(0.1, ge=0)


class Recipe(Description):
    """The shared multi-teacher recipe: data, teachers, losses, schedule, rung and validation."""

    seed: int = Field(0, ge=0, lt=2**63)
    data: Data = ScenesData()
    teachers: tuple[TeacherSpec, ...] = Field(default_factory=shipped, min_length=1)
    resolution: int = Field(64, ge=16, le=2048, multiple_of=16, description="pixels, of the square pictures")
    batch: int = Field(64, ge=2)
    crop: Crop = Crop()
    optimiser: Optimiser = Optimiser()
    spatial: SpatialLoss = SpatialLoss()
    steps: int = Field(100, ge=1, description="length of the rung at which candidates are judged")
    finalist_steps: int = Field(400, ge=1, description="total steps of a finalist")
    validation: int = Field(256, ge=1, description="pictures")
    repeat: int | None = Field(None, ge=1, description="steps after which the training batches come again")
    targets: Literal["auto", "live", "cached"] = "auto"
    stored: Literal["bfloat16", "float16", "float32"] = "bfloat16"

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) < len(names):
            raise ValueError(f"teachers must have different names, not {', '.join(names)}")
        if self.finalist_steps < self.steps:
            raise ValueError(f"finalist_steps must be at least steps ({self.steps})")
        return self

    def identity(self) -> dict[str, Any]:
        """What a training run depends on at any step: the recipe without its budget, and the code epoch."""
        return {**self.model_dump(mode="json", exclude=_BUDGET), "code_epoch": CODE_EPOCH}

    def sample_identity(self) -> dict[str, Any]:
        """What pictures and targets depend on: the schedule and the teachers' specifications."""
        return self.model_dump(mode="json", include=_SAMPLE)


def training_identity(network_digest: str, recipe: Recipe, data_digest: str) -> str:
    """Digest under which a student's checkpoints are kept: architecture, recipe without budget, data."""
    return digest_of({"network": network_digest, "recipe": recipe.identity(), "data": data_digest})
