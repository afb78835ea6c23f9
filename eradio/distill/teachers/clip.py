"""CLIP (Radford et al., 2021, arXiv 2103.00020) as open_clip builds it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from torch import Tensor, nn
from torch.nn.functional import normalize

from eradio.description import canonical_json
from eradio.distill.teachers.base import UNKNOWN_LICENCE, Teacher
from eradio.distill.teachers.files import MERGES, identity, read_config, read_weights, weights_file
from eradio.distill.teachers.grid import Tower
from eradio.distill.teachers.hub import unknown_tag, weights_path
from eradio.distill.teachers.licence import licence_of
from eradio.distill.teachers.spec import TeacherSpec
from eradio.errors import EradioError
from eradio.features import Features

Tokenizer = Callable[[list[str]], Tensor]


class ClipTeacher(Teacher):
    """An open_clip model.

    Summary: the image embedding in the space shared with captions, before normalisation. Spatial: the last
    block's patch tokens after the visual tower's final norm. The text tower is used by `class_embeddings` only.
    """

    clip: Any

    def __init__(self, clip: Any, tokenizer: Tokenizer, name: str, digest: str, licence: str = UNKNOWN_LICENCE) -> None:
        visual = clip.visual
        side = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
        tower = Tower(visual).eval()
        with torch.no_grad():
            summary, spatial = tower(torch.zeros(1, 3, side, side))
        assert summary is not None
        super().__init__(
            name=name,
            digest=digest,
            resolution=side,
            patch=side // spatial.shape[3],
            widths=(summary.shape[1], spatial.shape[1]),
            mean=visual.image_mean,
            std=visual.image_std,
            flexible=tower.flexible,
            licence=licence,
        )
        self.clip = clip
        self._tokenizer = tokenizer
        self.freeze()

    def _tower(self) -> nn.Module:
        """Not the text tower, often half of all."""
        visual: nn.Module = self.clip.visual
        return visual

    def _features(self, pictures: Tensor) -> Features:
        return Tower(self.clip.visual).on_any_grid(pictures)

    @torch.no_grad()
    def class_embeddings(self, captions: list[str]) -> Tensor:
        """[n, summary_width] text embeddings of the captions, each of length one."""
        return normalize(self.clip.encode_text(self._tokenizer(captions)), dim=-1)


def open_clip_model(config: dict[str, Any]) -> nn.Module:
    """The model that a folder's open_clip_config.json describes, with fresh weights."""
    clip: nn.Module = open_clip.CLIP(**config["model_cfg"])
    set_model_preprocess_cfg(clip, config["preprocess_cfg"])
    return clip


def open_clip_tokenizer(folder: Path, config: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a folder.

    Raises:
        EradioError: its file of merges is missing.
    """
    if not (folder / MERGES).is_file():
        raise EradioError(f"The CLIP teacher's folder {folder} lacks its tokenizer's file {MERGES}. Restore it.")
    length = config["model_cfg"]["text_cfg"]["context_length"]
    tokenizer: Tokenizer = open_clip.SimpleTokenizer(str(folder / MERGES), context_length=length)
    return tokenizer


def _published(spec: TeacherSpec) -> Any:
    """A published model with fresh weights; its tag tells the activation function and the normalisation."""
    told = open_clip.get_pretrained_cfg(spec.model, spec.tag) if spec.tag else {}
    if spec.tag and not told:
        raise EradioError(f"Teacher '{spec.name}': {unknown_tag(spec)}")
    return open_clip.create_model(
        spec.model,
        pretrained=None,
        force_quick_gelu=bool(told.get("quick_gelu")),
        force_image_size=spec.resolution,
        force_preprocess_cfg={key: told[key] for key in ("mean", "std") if key in told},
        pretrained_text=False,
    )


def _tokens(model: str, captions: list[str]) -> Tensor:
    """A published model's own tokens; some tokenizers need a library that pictures do not."""
    tokens: Tensor = open_clip.get_tokenizer(model)(captions)
    return tokens


def load_clip(spec: TeacherSpec) -> ClipTeacher:
    """Build the model and load its weights.

    Raises:
        EradioError: weights or configuration are missing, or do not fit each other.
    """
    path = weights_path(spec)
    weights = weights_file(path, spec.kind)
    if path.is_dir():
        described = read_config(path, spec.kind)
        clip, tokenizer = open_clip_model(described), open_clip_tokenizer(path, described)
        clip.load_state_dict(read_weights(weights))
        config = canonical_json(described)
    else:
        clip = _published(spec)
        open_clip.load_checkpoint(clip, str(weights))
        tokenizer = partial(_tokens, str(spec.model))
        config = canonical_json([spec.model, spec.resolution, *([spec.tag] if spec.tag else [])])
    return ClipTeacher(clip, tokenizer, spec.name, identity(weights, config), licence_of(spec, clip))
