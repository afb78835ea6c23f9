"""How every candidate is taught: one shared recipe, as data."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from eradio.description import Description, digest_of
from eradio.distill.teachers import TeacherSpec, shipped
from eradio.distill.teachers.spec import View
from eradio.errors import EradioError

# Raised whenever a change of the code changes what a training run computes, so that nothing stale is reused.
CODE_EPOCH = 5

ALIGNMENT = "alignment"
"""What the loss between the student's own maps is called."""

_ANYHOW: Any = {
    "steps": True,
    "targets": True,
    "data": {"unreadable"},
    "partitions": {"__all__": {"processes"}},
    "teachers": {"__all__": {"licence"}},
}
"""What a training does not depend on at any step."""
_SCHEDULE = {"seed", "data", "partitions", "crop", "shift", "validation"}
_SHIPPED = Path(__file__).with_name("recipes")


class ScenesData(Description):
    """The embedded world: endless rendered compositions."""

    kind: Literal["scenes"] = "scenes"
    seed: int = Field(0, ge=0, lt=2**30)


class FolderData(Description):
    """The user's own pictures: every readable file below a folder."""

    kind: Literal["folder"] = "folder"
    path: Path
    unreadable: float = Field(1.0, gt=0, le=1, description="share of the files that may be no pictures")


class ShardsData(Description):
    """Tar files as img2dataset writes them for WebDataset (DataComp, LAION)."""

    kind: Literal["shards"] = "shards"
    path: str = Field(description="a folder, a file, or `.../{00000..00099}.tar`, there or at a URL")
    validation: str | None = Field(None, description="the same for validation; null for the last shard of `path`")
    unreadable: float = Field(0.05, gt=0, le=1, description="share of the pictures that may be unreadable")


class HubData(Description):
    """A data set of the Hugging Face hub, or a folder that its library wrote."""

    kind: Literal["hub"] = "hub"
    name: str = Field(min_length=1)
    split: str = "train"
    validation: str | None = Field(None, description="its split for validation; null for the last fifth of `split`")
    column: str = "image"
    unreadable: float = Field(0.05, gt=0, le=1, description="share of the pictures that may be unreadable")


Data = Annotated[ScenesData | FolderData | ShardsData | HubData, Field(discriminator="kind")]


class Crop(Description):
    """Random resized crop of a training picture; validation sees the whole central square."""

    smallest: float = Field(0.6, gt=0, le=1, description="least share of the central square's area")
    flip: bool = True


Side = Annotated[int, Field(ge=16, le=2048, multiple_of=16)]

Sides = Annotated[
    tuple[Side, ...], Field(min_length=1), BeforeValidator(lambda given: (given,) if isinstance(given, int) else given)
]
"""Pixels of square pictures: one number, or several of which one is drawn for each step."""


class Later(Description):
    """Other resolutions from some step on."""

    step: int = Field(ge=1)
    resolution: Sides


class Partition(Description):
    """Teachers that look at the same pictures, at a resolution and in a batch of their own.

    With several partitions a step takes a batch of each (AM-RADIO, arXiv 2312.06709, section 3.4: CLIP and DINOv2 at
    432 pixels, SAM at 1024), and the processes of a run are divided among them.
    """

    teachers: tuple[str, ...] = Field((), description="names; empty for all")
    resolution: Sides = (64,)
    later: tuple[Later, ...] = Field((), description="progressive resolution inside a stage")
    batch: int = Field(64, ge=2, description="pictures a step, over all processes")
    group: int | None = Field(None, ge=2, description="pictures of a batch norm's statistics; null for the whole batch")
    processes: int = Field(1, ge=1, description="how many processes it gets for each one that another gets")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        steps = [one.step for one in self.later]
        if steps != sorted(set(steps)):
            raise ValueError(f"the steps of 'later' must rise, not be {', '.join(map(str, steps))}")
        if self.group is not None and self.batch % self.group:
            raise ValueError(f"a batch of {self.batch} is not whole groups of {self.group} pictures")
        return self

    def sides(self, step: int) -> tuple[int, ...]:
        """The resolutions of which one is drawn at a step."""
        return [self.resolution, *(one.resolution for one in self.later if one.step <= step)][-1]

    def every_side(self) -> set[int]:
        """All sides of any step."""
        return {side for sides in (self.resolution, *(one.resolution for one in self.later)) for side in sides}

    def largest(self) -> int:
        """The largest side at any step."""
        return max(self.every_side())


class Optimiser(Description):
    """AdamW or LAMB, and how its rate moves.

    `stable`: warm-up, a stable part, a short linear decay at the end of each rung (arXiv 2404.06395), so that a longer
    rung goes on from a shorter one. `cosine`: warm-up and a cosine to nothing, begun again `restarts` times.
    """

    kind: Literal["adamw", "lamb"] = "adamw"
    schedule: Literal["stable", "cosine"] = "stable"
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int = Field(20, ge=0, description="steps")
    decay: float = Field(0.25, ge=0, le=1, description="share of the rung's steps, of `stable`")
    restarts: int = Field(0, ge=0, description="of `cosine`")
    frozen: int = Field(0, ge=0, description="first steps in which only the heads learn")


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


_UNIT = ("channel", "phi-s")
"""After which every channel has variance one."""


class Balance(Description):
    """How the teachers' features are brought to one scale before the loss (PHI-S, arXiv 2410.01680)."""

    summary: BalanceKind = "none"
    spatial: BalanceKind = "none"
    pictures: int = Field(1024, ge=2, description="first training pictures, from which the statistics are taken")


class Alignment(Description):
    """The student's map is drawn to the one it has of the same pictures at another resolution.

    A student that says other things at other resolutions has learnt when to be which teacher (arXiv 2412.07679). In
    each step one of the resolutions is drawn, and the map there is computed in evaluation mode and without gradient.
    """

    weight: float = Field(1.0, gt=0)
    resolution: Sides


class Vit(Description):
    """What is done to a plain vision transformer of timm while it is taught; other networks know nothing of it.

    `positions`: in each step its table of positions is seen through a window of at least so large a part of its area
    (AM-RADIO, arXiv 2312.06709, cropped position embeddings). `windows`: in each step attention of all blocks but the
    last of each quarter is within windows of one of these sides in patches, drawn from those that divide the map
    (ViTDet, arXiv 2203.16527). `spectral`: every linear layer of a block is gain / sigma(W) W, sigma its largest
    singular value, and the gain is decayed in W's place (arXiv 2303.06296, PHI-S). All of it is gone from the finished
    student.
    """

    positions: float = Field(1.0, gt=0, le=1)
    windows: tuple[Annotated[int, Field(ge=1)], ...] = ()
    spectral: bool = False


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
    partitions: tuple[Partition, ...] = Field((Partition(),), min_length=1)
    crop: Crop = Crop()
    shift: int = Field(0, ge=0, le=16, description="patches of 16 pixels that student's and teachers' views differ by")
    optimiser: Optimiser = Optimiser()
    summary: SummaryLoss | None = Field(SummaryLoss(), description="null leaves the summaries out")
    spatial: SpatialLoss | None = Field(SpatialLoss(), description="null leaves the maps out")
    alignment: Alignment | None = Field(None, description="of the student's own maps at two resolutions")
    balance: Balance = Balance()
    weighting: Weighting = Weighting()
    vit: Vit = Vit()
    average: float | None = Field(None, gt=0, lt=1, description="momentum of the student's moving average (EMA)")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the student's forward pass")
    steps: int = Field(100, ge=1, description="length of the training; of the rung at which candidates are judged")
    validation: int = Field(256, ge=1, description="pictures")
    repeat: int | None = Field(None, ge=1, description="steps after which the training batches come again")
    targets: Literal["auto", "live", "cached", "shared"] = "auto"
    stored: Literal["bfloat16", "float16", "float32", "int8"] = "bfloat16"

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) < len(names):
            raise ValueError(f"teachers must have different names, not {', '.join(names)}")
        self._check_partitions(set(names))
        if self.summary is None and self.spatial is None:
            raise ValueError("summary and spatial are both null, so there is nothing to learn; give one of them")
        smallest = min(side for one in self.partitions for side in one.every_side())
        if 16 * self.shift >= smallest:
            raise ValueError(f"squares that lie {self.shift} patches of 16 apart share nothing of {smallest} pixels")
        parts = {"summary": self.summary, "spatial": self.spatial}
        loose = [part for part, loss in parts.items() if loss and getattr(self.balance, part) not in _UNIT]
        if self.stored == "int8" and loose:
            raise ValueError(f"int8 holds features of variance one: give 'balance' phi-s for {' and '.join(loose)}")
        return self

    def _check_partitions(self, names: set[str]) -> None:
        asked = {name for number in range(len(self.partitions)) for name in self.teachers_of(number)}
        if asked - names:
            raise ValueError(f"a partition names {', '.join(sorted(asked - names))}, which is none of the teachers")
        if names - asked:
            raise ValueError(f"no partition has the teachers {', '.join(sorted(names - asked))}")
        changes = [later.step for one in self.partitions for later in one.later]
        late = [step for step in changes if self.repeat is not None and step >= self.repeat]
        if late:
            raise ValueError(f"batches come again after {self.repeat} steps, so step {late[0]} of 'later' never comes")
        if len(self._head_weights()) < 2 * sum(len(self.teachers_of(number)) for number in range(len(self.partitions))):
            raise ValueError("two partitions show the same teacher the same first resolution; join them")

    def teachers_of(self, partition: int) -> tuple[str, ...]:
        """Names of the teachers of a partition."""
        return self.partitions[partition].teachers or tuple(teacher.name for teacher in self.teachers)

    def views(self) -> dict[str, View]:
        """At which side each teacher looks, by its name."""
        return {teacher.name: teacher.view for teacher in self.teachers}

    def head_name(self, teacher: str, partition: int) -> str:
        """How losses call a teacher: with its first resolution where an earlier partition has it already."""
        earlier = any(teacher in self.teachers_of(number) for number in range(partition))
        return f"{teacher}@{self.partitions[partition].resolution[0]}" if earlier else teacher

    def largest(self) -> int:
        """The largest side of any picture, in pixels."""
        return max(partition.largest() for partition in self.partitions)

    def several_sides(self) -> bool:
        """Whether the student sees pictures of more than one size."""
        own = () if self.alignment is None else self.alignment.resolution
        return len({*own, *(side for partition in self.partitions for side in partition.every_side())}) > 1

    @classmethod
    def named(cls, name: str) -> Self:
        """A shipped recipe by its name, or one of the user's own by its path.

        Raises:
            EradioError: there is neither, or it is not valid.
        """
        if name in (known := sorted(path.stem for path in _SHIPPED.glob("*.yaml"))):
            return cls.from_yaml(_SHIPPED / f"{name}.yaml")
        if not Path(name).exists():
            raise EradioError(f"There is no recipe '{name}'; shipped are {', '.join(known)}. Or give a file's path.")
        return cls.from_yaml(name)

    def changed(self, *, data: Path | None = None, steps: int | None = None) -> Self:
        """The same recipe for a folder of pictures, or of another length."""
        update: dict[str, Any] = {} if steps is None else {"steps": steps}
        if data is not None:
            update["data"] = FolderData(path=data.expanduser().resolve())
        return self.model_copy(update=update)

    def identity(self) -> dict[str, Any]:
        """What a training run depends on at any step: the recipe without its budget, and the code epoch."""
        return {**self.model_dump(mode="json", exclude=_ANYHOW), "code_epoch": CODE_EPOCH}

    def needs_scales(self) -> bool:
        """Whether statistics of the teachers' features are taken before anything is taught."""
        angle = self.summary is not None and self.summary.angle > 0
        return angle or self.balance.summary != "none" or self.balance.spatial != "none"

    def loss_weights(self) -> dict[str, float]:
        """What each loss counts, by the name `teacher/summary` or `teacher/spatial`, whether it exists or not."""
        own = {} if self.alignment is None else {ALIGNMENT: self.alignment.weight}
        return {**self._head_weights(), **own}

    def _head_weights(self) -> dict[str, float]:
        known = {teacher.name: teacher for teacher in self.teachers}
        weights = {}
        for number in range(len(self.partitions)):
            for name in self.teachers_of(number):
                head = self.head_name(name, number)
                weights[f"{head}/summary"] = known[name].summary_weight
                weights[f"{head}/spatial"] = known[name].spatial_weight
        return weights

    def schedule_identity(self) -> dict[str, Any]:
        """What pictures depend on beside the data itself: neither teachers nor losses."""
        left_out = {"partitions": {"__all__": {"teachers", "processes", "group"}}}
        return self.model_dump(mode="json", include=_SCHEDULE, exclude=left_out)


def training_identity(network_digest: str, recipe: Recipe, data_digest: str) -> str:
    """Digest under which a student's checkpoints are kept: architecture, recipe without budget, data."""
    return digest_of({"network": network_digest, "recipe": recipe.identity(), "data": data_digest})
