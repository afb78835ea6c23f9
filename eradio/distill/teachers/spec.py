"""Which teacher, as data."""

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from eradio.description import Description

Kind = Literal["clip", "dino", "sam", "timm", "student"]
Shipped = Literal["clip", "dino", "sam"]
KINDS: tuple[Shipped, ...] = get_args(Shipped)
"""The kinds that are shipped."""

SHIPPED = "shipped"
_SHIPPED_FOLDER = Path(__file__).with_name("weights")


class TeacherSpec(Description):
    """One teacher.

    The weights come from one of three places: the package itself (`shipped`), a folder that `eradio teachers
    train` wrote, or a checkpoint file of a published model. Folders carry their model's configuration; a
    checkpoint file needs `model`, its name in the library of its kind: open_clip (`ViT-H-14`), timm
    (`vit_giant_patch14_dinov2`) or segment_anything (`vit_h`). Kind `dino` is a vision transformer of timm whose
    summary is its class token, `timm` any network of timm, `student` the folder of a finished student of ours.
    """

    kind: Kind
    name: str = Field(min_length=1)
    """What tables and figures call it."""
    weights: str = SHIPPED
    model: str | None = None
    resolution: int | None = Field(default=None, ge=16, le=2048)
    """Side in pixels at which a published CLIP or DINO looks, if not its own."""

    summary_weight: float = Field(default=1.0, ge=0)
    """What its summary loss counts among all losses."""
    spatial_weight: float = Field(default=1.0, ge=0)
    """What its spatial loss counts."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights == SHIPPED and self.model is not None:
            raise ValueError("the shipped teachers bring their own model; remove 'model', or name a checkpoint file")
        sized = self.kind == "student" or (self.model is not None and self.kind != "sam")
        if self.resolution is not None and not sized:
            raise ValueError("only a published CLIP or DINO can look at another resolution; remove 'resolution'")
        if self.weights == SHIPPED and self.kind not in KINDS:
            raise ValueError(f"no teacher of kind '{self.kind}' is shipped; give its 'weights'")
        return self

    def path(self) -> Path:
        """The folder or the checkpoint file with the weights."""
        return _SHIPPED_FOLDER / self.kind if self.weights == SHIPPED else Path(self.weights).expanduser()


def shipped() -> tuple[TeacherSpec, ...]:
    """The three teachers that come with the package, trained on the embedded world."""
    return tuple(TeacherSpec(kind=kind, name=kind) for kind in KINDS)
