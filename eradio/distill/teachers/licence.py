"""Under which licence a teacher's weights are, as far as the recipe, its folder or its library says."""

from pathlib import Path
from typing import Any

from eradio.distill.teachers.base import UNKNOWN_LICENCE
from eradio.distill.teachers.spec import HUB, SHIPPED, TeacherSpec
from eradio.files import read_json

_OURS = "Apache-2.0"
LICENCES = "licences"
"""Where a finished student's manifest says it of its teachers."""


def licence_of(spec: TeacherSpec, source: Any) -> str:
    """The licence in words.

    Args:
        spec: may say it.
        source: the model as its library made it (timm says it of its published ones), or a student's folder.
    """
    if spec.licence is not None:
        return spec.licence
    if spec.weights == SHIPPED:
        return _OURS
    if isinstance(source, Path):
        manifest = source / "manifest.json"
        known = read_json(manifest).get(LICENCES, {}) if manifest.is_file() else {}
        return "; ".join(f"of its teacher {name}: {one}" for name, one in known.items()) or UNKNOWN_LICENCE
    if spec.weights != HUB and "." not in (spec.model or ""):
        return UNKNOWN_LICENCE  # timm speaks of its own weights, which these need not be
    told = (getattr(source, "pretrained_cfg", None) or {}).get("license")
    return str(told) if told else UNKNOWN_LICENCE
