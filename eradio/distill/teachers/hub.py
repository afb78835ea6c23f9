"""Where a teacher's published weights are: a path, or a file of the Hugging Face hub that is cached or fetched."""

from contextlib import suppress
from pathlib import Path

import open_clip
import timm
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from eradio.distill.teachers.spec import HUB, HUB_PREFIX, TeacherSpec
from eradio.errors import EradioError

_OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TIMM = ("model.safetensors", "pytorch_model.bin")


def weights_path(spec: TeacherSpec) -> Path:
    """The folder or file with a teacher's weights; what is to be had from the hub is looked for in its cache first.

    Raises:
        EradioError: it is neither cached nor to be fetched, or the library knows no place for it.
    """
    if spec.weights == HUB:
        return _fetched(spec, *_published(spec))
    if spec.weights.startswith(HUB_PREFIX):
        parts = spec.weights.removeprefix(HUB_PREFIX).split("/")
        usual = _OPEN_CLIP if spec.kind == "clip" else _TIMM
        return _fetched(spec, "/".join(parts[:2]), ("/".join(parts[2:]),) if parts[2:] else usual)
    return spec.path()


def unknown_tag(spec: TeacherSpec) -> str:
    """What to say of a tag that open_clip does not know."""
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(spec.model)) or "none"
    return f"open_clip knows no weights '{spec.tag}' of {spec.model}; it has {tags}. Correct 'tag'."


def _published(spec: TeacherSpec) -> tuple[str, tuple[str, ...]]:
    """The repository and the file's possible names that the teacher's own library gives for its model and tag."""
    model = spec.model or ""
    if spec.kind == "clip":
        found = open_clip.get_pretrained_cfg(model, spec.tag or "")
        if found.get("hf_hub"):
            repository, _, file = found["hf_hub"].rpartition("/")
            return repository, (file,) if file else _OPEN_CLIP
        raise EradioError(f"Teacher '{spec.name}': {unknown_tag(spec)}")
    if spec.kind in ("dino", "timm"):
        with suppress(RuntimeError):  # a tag that timm does not know
            config = timm.get_pretrained_cfg(model)
            if config is not None and config.hf_hub_id:
                return config.hf_hub_id, (config.hf_hub_filename,) if config.hf_hub_filename else _TIMM
        raise EradioError(f"Teacher '{spec.name}': timm has no published weights for '{model}'. Add a tag to 'model'.")
    raise EradioError(
        f"Teacher '{spec.name}': weights of segment_anything are not on the hub in its own format. Download the file "
        "(sam_vit_h_4b8939.pth, sam_vit_l_0b3195.pth or sam_vit_b_01ec64.pth) and give its path as 'weights'."
    )


def _fetched(spec: TeacherSpec, repository: str, files: tuple[str, ...]) -> Path:
    folder = constants.HF_HUB_CACHE
    for file in files:
        cached = try_to_load_from_cache(repository, file, cache_dir=folder)
        if isinstance(cached, str):
            return Path(cached)
    reasons = []
    for file in files:
        try:
            return Path(hf_hub_download(repository, file, cache_dir=folder))
        except Exception as error:  # the hub's client has a class of its own for every way to fail
            reasons.append(type(error).__name__)
    raise EradioError(
        f"The weights of teacher '{spec.name}' are not here: {files[0]} of the hub's {repository} is neither in the "
        f"cache {folder} nor could it be fetched ({reasons[-1]}). Where there is internet, `hf download {repository} "
        f"{files[0]}` gets it; copy it here and give its path as 'weights'."
    )
