"""DINO and DINOv2 (Oquab et al., 2023, arXiv 2304.07193) as timm builds them."""

from typing import Any

import timm
from torch import Tensor, nn

from eradio.description import canonical_json
from eradio.distill.teachers.backbone import timm_weights
from eradio.distill.teachers.base import UNKNOWN_LICENCE, Teacher
from eradio.distill.teachers.files import identity, read_config, read_weights, weights_file
from eradio.distill.teachers.grid import free_grid
from eradio.distill.teachers.hub import weights_path
from eradio.distill.teachers.licence import licence_of
from eradio.distill.teachers.spec import TeacherSpec
from eradio.features import Features


class DinoTeacher(Teacher):
    """A timm vision transformer with a class token.

    Summary: the class token after the final norm. Spatial: the patch tokens after the final norm.
    """

    vit: Any

    def __init__(self, vit: Any, name: str, digest: str, licence: str = UNKNOWN_LICENCE) -> None:
        config = vit.pretrained_cfg
        flexible = free_grid(vit)
        super().__init__(
            name=name,
            digest=digest,
            resolution=vit.patch_embed.img_size[0],
            patch=vit.patch_embed.patch_size[0],
            widths=(vit.num_features, vit.num_features),
            mean=config["mean"],
            std=config["std"],
            flexible=flexible,
            licence=licence,
        )
        self.vit = vit
        self.freeze()

    def _features(self, pictures: Tensor) -> Features:
        tokens = self.vit.forward_features(pictures)
        patches = tokens[:, self.vit.num_prefix_tokens :]
        return Features(tokens[:, 0], patches.transpose(1, 2).unflatten(2, (pictures.shape[2] // self.patch, -1)))


def timm_model(config: dict[str, Any]) -> nn.Module:
    """The model that a teacher's folder describes: a timm name and the options that differ from it."""
    model: nn.Module = timm.create_model(config["model"], num_classes=0, **config["options"])
    return model


def load_dino(spec: TeacherSpec) -> DinoTeacher:
    """Build the model and load its weights; position embeddings are resampled to the resolution asked for.

    Raises:
        EradioError: weights or configuration are missing, or do not fit each other.
    """
    path = weights_path(spec)
    weights = weights_file(path, spec.kind)
    config = read_config(path, spec.kind) if path.is_dir() else {"model": spec.model, "options": {}}
    if spec.resolution is not None:
        config["options"]["img_size"] = spec.resolution
    vit = timm_model(config)
    vit.load_state_dict(timm_weights(vit, read_weights(weights)), strict=True)
    return DinoTeacher(vit, spec.name, identity(weights, canonical_json(config)), licence_of(spec, vit))
