"""Any timm network, or a finished student of ours, as a teacher."""

import sys
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from eradio.description import canonical_json
from eradio.distill.teachers.base import UNKNOWN_LICENCE, Teacher
from eradio.distill.teachers.files import identity, read_config, read_weights, weights_file
from eradio.distill.teachers.grid import free_grid
from eradio.distill.teachers.hub import weights_path
from eradio.distill.teachers.licence import licence_of
from eradio.distill.teachers.spec import TeacherSpec
from eradio.errors import EradioError
from eradio.features import Features
from eradio.search_space import Backbone, build, parse_network

_BODY = "backbone."
_UNSAID = 64
"""Side in pixels at which a student is asked whose specification names none."""


class TimmTeacher(Teacher):
    """A timm network of any kind.

    Summary: what timm pools for a classifier. Spatial: the map, or the patch tokens, of its last stage.
    """

    def __init__(self, model: Any, name: str, digest: str, resolution: int, licence: str = UNKNOWN_LICENCE) -> None:
        tokens = hasattr(model, "num_prefix_tokens") and hasattr(model, "patch_embed")
        super().__init__(
            name=name,
            digest=digest,
            resolution=resolution,
            patch=model.patch_embed.patch_size[0] if tokens else model.feature_info[-1]["reduction"],
            widths=(model.head_hidden_size, model.num_features),
            mean=model.pretrained_cfg["mean"],
            std=model.pretrained_cfg["std"],
            flexible=free_grid(model) if tokens else not _of_fixed_side(model.pretrained_cfg),
            licence=licence,
        )
        self.model = model
        self.freeze()

    def _features(self, pictures: Tensor) -> Features:
        features = self.model.forward_features(pictures)
        summary = self.model.forward_head(features, pre_logits=True)
        if features.ndim == 3:
            patches = features[:, getattr(self.model, "num_prefix_tokens", 0) :].transpose(1, 2)
            return Features(summary, patches.unflatten(2, (pictures.shape[2] // self.patch, -1)))
        channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return Features(summary, features.permute(0, 3, 1, 2) if channels_last else features)


class StudentTeacher(Teacher):
    """A finished student, as the proxy between large experts and a small student (EUPE, arXiv 2603.22387).

    Summary and spatial: its backbone's own, before any head.
    """

    def __init__(self, backbone: Any, name: str, digest: str, resolution: int, licence: str = UNKNOWN_LICENCE) -> None:
        super().__init__(
            name=name,
            digest=digest,
            resolution=resolution,
            patch=backbone.output_stride,
            widths=(backbone.summary_width, backbone.spatial_width),
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            flexible=isinstance(backbone, Backbone) or backbone.side is None,
            licence=licence,
        )
        self.backbone = backbone
        self._side = 0
        self.freeze()

    def _features(self, pictures: Tensor) -> Features:
        if isinstance(self.backbone, Backbone) and pictures.shape[2] != self._side:
            self._side = pictures.shape[2]
            self.backbone.set_input_size((self._side, self._side))
        features: Features = self.backbone(pictures)
        return features


def load_timm(spec: TeacherSpec) -> TimmTeacher:
    """Build the network and load its weights; its classifier is left out.

    Raises:
        EradioError: weights are missing, or do not fit.
    """
    weights = weights_file(weights_path(spec), spec.kind)
    assert spec.model is not None
    side = spec.resolution or timm.get_pretrained_cfg(spec.model).input_size[-1]
    options = {"img_size": side} if _of_fixed_side(timm.get_pretrained_cfg(spec.model).to_dict()) else {}
    model = timm.create_model(spec.model, pretrained=False, num_classes=0, **options)
    model.load_state_dict(timm_weights(model, read_weights(weights)))
    digest = identity(weights, canonical_json([spec.model, side]))
    teacher = TimmTeacher(model, spec.name, digest, side, licence_of(spec, model))
    try:
        teacher(torch.zeros(1, 3, side, side))
    except AttributeError:
        raise EradioError(
            f"Teacher '{spec.name}': {spec.model} has no map to learn from. Give another model."
        ) from None
    return teacher


def load_student(spec: TeacherSpec) -> StudentTeacher:
    """The student in the folder of a training, a trial or a finalist.

    Raises:
        EradioError: the folder holds none, or its weights are of another network.
    """
    folder = spec.path()
    weights = folder / "student.safetensors"
    if not weights.is_file():
        raise EradioError(f"{folder} holds no student.safetensors. Give the folder of a training that has ended.")
    described = read_config(folder, spec.kind)
    backbone = build(parse_network(described, str(folder)))
    stored = read_weights(weights)
    backbone.load_state_dict(
        {name.removeprefix(_BODY): value for name, value in stored.items() if name.startswith(_BODY)}
    )
    side = spec.resolution or _UNSAID
    digest = identity(weights, canonical_json([described, side]))
    return StudentTeacher(backbone, spec.name, digest, side, licence_of(spec, folder))


def timm_weights(model: nn.Module, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint as the model without its classifier takes it; timm's own code resamples positions."""
    own_module = sys.modules[type(model).__module__]
    filtered = getattr(own_module, "checkpoint_filter_fn", lambda state, _: state)(stored, model)
    given = model.pretrained_cfg["classifier"]  # type: ignore[index]
    heads = tuple(f"{name}." for name in ((given,) if isinstance(given, str) else given or ()))
    return {name: value for name, value in filtered.items() if not name.startswith(heads)}


def _of_fixed_side(config: Mapping[str, Any]) -> bool:
    return bool(config.get("fixed_input_size"))
