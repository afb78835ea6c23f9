"""Teachers as networks to be measured: only what a picture passes through."""

import open_clip
from segment_anything import sam_model_registry
from torch import Tensor, nn

from eradio.distill.teachers.base import Teacher
from eradio.distill.teachers.clip import ClipTeacher
from eradio.distill.teachers.load import load_teacher
from eradio.distill.teachers.sam import SamTeacher
from eradio.distill.teachers.spec import KINDS as SHIPPED
from eradio.distill.teachers.spec import TeacherSpec
from eradio.errors import EradioError
from eradio.tracing import quietly

KINDS = ("shipped", "open_clip", "sam")
_TOWER = {"clip": ("clip", "visual"), "sam": ("sam", "image_encoder")}


def teacher(kind: str, name: str, resolution: int) -> tuple[nn.Module, str]:
    """A teacher's image tower, and where its weights come from.

    Published ones get random weights, which are as fast: `open_clip/ViT-H-14` at any resolution its patches divide,
    `sam/vit_h` at its own 1024 pixels. A DINO is a network of timm's, `timm/vit_giant_patch14_dinov2`.

    Raises:
        EradioError: there is no such teacher, or it does not look at this resolution.
    """
    if kind == "shipped":
        return _shipped(name, resolution), "the shipped weights"
    return _published(kind, name, resolution), "random weights"


def _shipped(name: str, resolution: int) -> Teacher:
    kinds = [kind for kind in SHIPPED if kind == name]
    if not kinds:
        raise EradioError(f"No teacher '{name}' is shipped; there are {', '.join(SHIPPED)}.")
    return _tower(load_teacher(TeacherSpec(kind=kinds[0], name=name)), name, resolution)


def _published(kind: str, name: str, resolution: int) -> Teacher:
    if kind == "sam":
        if name not in sam_model_registry:
            raise EradioError(f"segment_anything knows no model '{name}'; it has {', '.join(sam_model_registry)}.")
        return _tower(SamTeacher(sam_model_registry[name](checkpoint=None), name, "random"), "sam", resolution)
    if name not in open_clip.list_models():
        raise EradioError(f"open_clip knows no model '{name}'. See open_clip.list_models() for the names.")
    try:
        with quietly():
            clip = open_clip.create_model(name, pretrained=None, force_image_size=resolution, pretrained_text=False)
        return _tower(ClipTeacher(clip, _no_words, name, "random"), "clip", resolution)
    except (AttributeError, AssertionError, RuntimeError, ValueError) as error:
        raise EradioError(f"open_clip's '{name}' cannot be measured at {resolution} pixels: {error}.") from None


def _tower(found: Teacher, kind: str, resolution: int) -> Teacher:
    """The teacher without its text tower or mask decoder."""
    if found.resolution != resolution:
        raise EradioError(
            f"The teacher '{found.name}' looks at {found.resolution} pixels and would resample {resolution}. "
            f"Give --resolution {found.resolution}."
        )
    if kind in _TOWER:
        model, kept = _TOWER[kind]
        body: nn.Module = getattr(found, model)
        for name in [name for name, _ in body.named_children() if name != kept]:
            delattr(body, name)
        for name in list(body._parameters):
            delattr(body, name)
    return found


def _no_words(captions: list[str]) -> Tensor:
    raise AssertionError("a tower that only sees has no use for a tokenizer")
