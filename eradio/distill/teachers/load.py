"""From a description to a teacher."""

from collections.abc import Callable

import open_clip
import timm
from segment_anything import sam_model_registry

from eradio.distill.teachers.backbone import load_student, load_timm
from eradio.distill.teachers.base import Teacher
from eradio.distill.teachers.clip import load_clip
from eradio.distill.teachers.dino import load_dino
from eradio.distill.teachers.sam import load_sam
from eradio.distill.teachers.spec import Kind, TeacherSpec
from eradio.errors import EradioError

_LOADERS: dict[Kind, Callable[[TeacherSpec], Teacher]] = {
    "clip": load_clip,
    "dino": load_dino,
    "sam": load_sam,
    "timm": load_timm,
    "student": load_student,
}
_LIBRARIES = {"clip": "open_clip", "dino": "timm", "sam": "segment_anything", "timm": "timm"}
_KNOWN = {
    "open_clip": open_clip.list_models,
    "timm": timm.list_models,
    "segment_anything": sam_model_registry.keys,
}


def load_teacher(spec: TeacherSpec) -> Teacher:
    """The frozen teacher that a description names.

    Raises:
        EradioError: its weights are missing or damaged, its model's name is unknown, or the two do not fit.
    """
    if spec.on_hub() or not spec.path().is_dir():
        _check_model(spec)
    try:
        return _LOADERS[spec.kind](spec)
    except (RuntimeError, KeyError) as error:
        cause = str(error).splitlines()[0]
        raise EradioError(
            f"The weights in {spec.weights} do not fit the {spec.kind} model of teacher '{spec.name}': {cause} "
            f"Check 'model' and 'weights'."
        ) from None


def _check_model(spec: TeacherSpec) -> None:
    if spec.kind == "student":
        raise EradioError(f"Teacher '{spec.name}' is a student of ours: 'weights' must name its folder.")
    library = _LIBRARIES[spec.kind]
    known = _KNOWN[library]()
    if spec.model is None and not spec.on_hub() and spec.path().exists():
        raise EradioError(
            f"Teacher '{spec.name}' is a checkpoint file, {spec.path()}: add 'model', its name in {library}."
        )
    if spec.model is not None and spec.model.split(".")[0] not in known:
        raise EradioError(f"Teacher '{spec.name}': {library} knows no model '{spec.model}'. Correct 'model'.")
