"""Which teacher, as data."""

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator
from torch import nn

from eradio.description import Description

Kind = Literal["clip", "dino", "sam", "timm", "student"]
Shipped = Literal["clip", "dino", "sam"]
View = Literal["own", "pictures", "mosaic"]
KINDS: tuple[Shipped, ...] = get_args(Shipped)
"""The kinds that are shipped."""

_TAKEN = ("balance", "restore", "training")
"""Beside a module's own names, which heads go by."""

SHIPPED = "shipped"
HUB = "hub"
HUB_PREFIX = "hf-hub:"
_SHIPPED_FOLDER = Path(__file__).with_name("weights")


class TeacherSpec(Description):
    """One teacher.

    The weights come from the package itself (`shipped`), a folder that `eradio teachers train` wrote, a checkpoint file
    of a published model, or the Hugging Face hub: `hub` for what the model's library has for its `model` (and `tag`, of
    open_clip), `hf-hub:ORGANISATION/NAME` or `hf-hub:ORGANISATION/NAME/FILE` for any other. Folders carry their model's
    configuration; all else needs `model`, its name in the library of its kind: open_clip (`ViT-H-14`), timm
    (`vit_giant_patch14_dinov2`) or segment_anything (`vit_h`). Kind `dino` is a vision transformer of timm whose
    summary is its class token, `timm` any network of timm, `student` the folder of a finished student of ours.
    """

    kind: Kind
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """What tables and figures call it."""
    weights: str = SHIPPED
    model: str | None = None
    tag: str | None = None
    """Which of open_clip's published weights of a model these are, such as `dfn5b`: what its activation function and
    its normalisation are depends on it, for a local file too."""
    resolution: int | None = Field(default=None, ge=16, le=2048)
    """Side in pixels at which a published CLIP or DINO looks, if not its own."""
    view: View = "own"
    """At which side it looks at pictures of a partition: `own` resamples them to its own side; `pictures` takes them as
    they are, a place of its map for each 16 pixels; `mosaic` puts as many side by side as its own side holds, and cuts
    its map into pieces (for a SAM, which has one side and no summary; RADIOv2.5, arXiv 2412.07679)."""
    before_neck: bool = False
    """Of a SAM: its map is what enters the encoder's last convolutions, wider than what leaves them. A student of
    AM-RADIO stands in for the encoder there (arXiv 2312.06709), and SAM's own neck and decoder go on from it."""
    licence: str | None = None
    """Of the weights, where neither their folder nor their library says."""

    summary_weight: float = Field(default=1.0, ge=0)
    """What its summary loss counts among all losses."""
    spatial_weight: float = Field(default=1.0, ge=0)
    """What its spatial loss counts."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if hasattr(nn.ModuleDict, self.name) or self.name in _TAKEN:
            raise ValueError(f"'{self.name}' cannot be a teacher's name; give another")
        if self.weights == SHIPPED and self.model is not None:
            raise ValueError("the shipped teachers bring their own model; remove 'model', or name a checkpoint file")
        sized = self.kind == "student" or (self.model is not None and self.kind != "sam")
        if self.resolution is not None and not sized:
            raise ValueError("only a published CLIP or DINO can look at another resolution; remove 'resolution'")
        if self.view == "mosaic" and self.kind != "sam":
            raise ValueError("only a SAM, which has no summary, can look at a mosaic; change 'view'")
        if self.view == "pictures" and self.kind == "sam":
            raise ValueError("a SAM looks at its own side only; change 'view' to own or mosaic")
        if self.before_neck and self.kind != "sam":
            raise ValueError("only a SAM has a neck; remove 'before_neck'")
        if self.tag is not None and (self.kind != "clip" or self.model is None):
            raise ValueError("only a published CLIP has a tag; remove 'tag'")
        if self.on_hub() and self.model is None:
            raise ValueError("weights on the hub need 'model', the name that their library gives the network")
        if self.weights == SHIPPED and self.kind not in KINDS:
            raise ValueError(f"no teacher of kind '{self.kind}' is shipped; give its 'weights'")
        return self

    def on_hub(self) -> bool:
        """Whether the weights are a file of the Hugging Face hub."""
        return self.weights == HUB or self.weights.startswith(HUB_PREFIX)

    def path(self) -> Path:
        """The folder or the checkpoint file with the weights."""
        return _SHIPPED_FOLDER / self.kind if self.weights == SHIPPED else Path(self.weights).expanduser()


def shipped() -> tuple[TeacherSpec, ...]:
    """The three teachers that come with the package, trained on the embedded world."""
    return tuple(TeacherSpec(kind=kind, name=kind) for kind in KINDS)
