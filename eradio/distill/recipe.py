"""How every candidate is taught: one shared recipe, as data."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description, digest_of
from eradio.distill.teachers import TeacherSpec, shipped

# Raised whenever a change of the code changes what a training run computes, so that nothing stale is reused.
CODE_EPOCH = 2

_BUDGET = {"steps", "finalist_steps", "targets"}
_SAMPLE = {"seed", "data", "teachers", "resolution", "batch", "crop", "validation", "stored", "balance"}
_LOSS = {"summary_weight", "spatial_weight"}


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


class _Terms(Description):
    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("all of its terms have weight 0; give one more, or write null in place of the whole loss")
        return self


class SummaryLoss(_Terms):
    """Weights of the summary loss' terms; AM-RADIO (arXiv 2312.06709) takes the cosine alone."""

    cosine: float = Field(1.0, ge=0)
    angle: float = Field(0.0, ge=0, description="squared angle over the teacher's dispersion (C-RADIOv4)")
    mse: float = Field(0.0, ge=0)
    smooth_l1: float = Field(0.0, ge=0)


class SpatialLoss(_Terms):
    """Weights of the spatial loss' terms (AM-RADIO, arXiv 2312.06709: cosine 0.9 and smooth-L1 0.1)."""

    cosine: float = Field(0.9, ge=0)
    mse: float = Field(0.0, ge=0)
    smooth_l1: float = Field(0.1, ge=0)


BalanceKind = Literal["none", "global", "channel", "phi-s"]


class Balance(Description):
    """How the teachers' features are brought to one scale before the loss (PHI-S, arXiv 2410.01680)."""

    summary: BalanceKind = "none"
    spatial: BalanceKind = "none"
    pictures: int = Field(1024, ge=2, description="first training pictures, from which the statistics are taken")


class Weighting(Description):
    """How losses of several heads become one.

    `fixed` adds them with the teachers' weights; `adaloss` divides each by its running mean; `uncertainty` lets the
    student predict how far each is to be believed (AM-RADIO, section 4: equal weights were kept).
    """

    kind: Literal["fixed", "adaloss", "uncertainty"] = "fixed"
    momentum: float = Field(0.99, ge=0, lt=1, description="of adaloss' running means")


class Recipe(Description):
    """The shared multi-teacher recipe: data, teachers, losses, schedule, rung and validation."""

    seed: int = Field(0, ge=0, lt=2**63)
    data: Data = ScenesData()
    teachers: tuple[TeacherSpec, ...] = Field(default_factory=shipped, min_length=1)
    resolution: int = Field(64, ge=16, le=2048, multiple_of=16, description="pixels, of the square pictures")
    batch: int = Field(64, ge=2)
    crop: Crop = Crop()
    optimiser: Optimiser = Optimiser()
    summary: SummaryLoss | None = Field(SummaryLoss(), description="null leaves the summaries out")
    spatial: SpatialLoss | None = Field(SpatialLoss(), description="null leaves the maps out")
    balance: Balance = Balance()
    weighting: Weighting = Weighting()
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
        if self.summary is None and self.spatial is None:
            raise ValueError("summary and spatial are both null, so there is nothing to learn; give one of them")
        if self.finalist_steps < self.steps:
            raise ValueError(f"finalist_steps must be at least steps ({self.steps})")
        return self

    def identity(self) -> dict[str, Any]:
        """What a training run depends on at any step: the recipe without its budget, and the code epoch."""
        return {**self.model_dump(mode="json", exclude=_BUDGET), "code_epoch": CODE_EPOCH}

    def needs_scales(self) -> bool:
        """Whether statistics of the teachers' features are taken before anything is taught."""
        angle = self.summary is not None and self.summary.angle > 0
        return angle or self.balance.summary != "none" or self.balance.spatial != "none"

    def loss_weights(self) -> dict[str, float]:
        """What each loss counts, by the name `teacher/summary` or `teacher/spatial`, whether it exists or not."""
        both = {f"{teacher.name}/summary": teacher.summary_weight for teacher in self.teachers}
        return both | {f"{teacher.name}/spatial": teacher.spatial_weight for teacher in self.teachers}

    def sample_identity(self) -> dict[str, Any]:
        """What pictures and targets depend on: the schedule and the teachers' specifications."""
        return self.model_dump(mode="json", include=_SAMPLE, exclude={"teachers": {"__all__": _LOSS}})


def training_identity(network_digest: str, recipe: Recipe, data_digest: str) -> str:
    """Digest under which a student's checkpoints are kept: architecture, recipe without budget, data."""
    return digest_of({"network": network_digest, "recipe": recipe.identity(), "data": data_digest})
