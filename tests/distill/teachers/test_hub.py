"""Published weights: found in the hub's cache, fetched, or asked for in one sentence."""

import json
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from huggingface_hub import constants
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from eradio.distill.teachers import TeacherSpec, load_teacher
from eradio.distill.teachers.clip import _published
from eradio.distill.teachers.hub import weights_path
from eradio.errors import EradioError

RESNET = "timm/resnet10t.c3_in1k"
SIGLIP = {
    "embed_dim": 192,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 224,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 64,
        "width": 64,
        "heads": 2,
        "layers": 1,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    },
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no way to it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def _keep(cache: Path, repository: str, file: str, state: dict[str, torch.Tensor]) -> Path:
    """As the hub's own client lays files out."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    path = folder / "snapshots" / "abc" / file
    save_file(state, path)
    return path


@pytest.mark.parametrize(
    "weights", ["hub", "hf-hub:timm/resnet10t.c3_in1k", "hf-hub:timm/resnet10t.c3_in1k/model.safetensors"]
)
def test_weights_are_found_in_the_hub_s_cache(cache: Path, weights: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model("resnet10t")
    path = _keep(cache, RESNET, "model.safetensors", model.state_dict())
    spec = TeacherSpec(kind="timm", name="t", weights=weights, model="resnet10t.c3_in1k")
    assert weights_path(spec) == path
    teacher = load_teacher(spec)
    assert torch.equal(next(teacher.model.parameters()), next(model.parameters()))


@pytest.mark.parametrize(
    ("spec", "repository"),
    [
        ({"kind": "clip", "model": "ViT-H-14", "tag": "laion2b_s32b_b79k"}, "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        ({"kind": "clip", "model": "ViT-H-14-378-quickgelu", "tag": "dfn5b"}, "apple/DFN5B-CLIP-ViT-H-14-378"),
        ({"kind": "clip", "model": "ViT-SO400M-16-SigLIP2-384", "tag": "webli"}, "timm/ViT-SO400M-16-SigLIP2-384"),
        ({"kind": "dino", "model": "vit_giant_patch14_dinov2.lvd142m"}, "timm/vit_giant_patch14_dinov2.lvd142m"),
        ({"kind": "dino", "model": "vit_large_patch16_dinov3.lvd1689m"}, "timm/vit_large_patch16_dinov3.lvd1689m"),
    ],
)
def test_what_is_missing_offline_is_one_sentence_that_names_file_and_place(
    cache: Path, spec: dict[str, str], repository: str
) -> None:
    with pytest.raises(EradioError) as caught:
        load_teacher(TeacherSpec(name="expert", weights="hub", **spec))  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    for words in ("expert", repository, "safetensors", str(cache), "'weights'", "hf download"):
        assert words in text


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "clip", "model": "ViT-H-14", "tag": "nonesuch"}, "it has laion2b_s32b_b79k"),
        ({"kind": "clip", "model": "ViT-H-14"}, "Correct 'tag'"),
        ({"kind": "timm", "model": "resnet10t.of_dreams"}, "no published weights for"),
        ({"kind": "sam", "model": "vit_h"}, "sam_vit_h_4b8939.pth"),
    ],
)
def test_what_no_library_knows_is_one_sentence(cache: Path, spec: dict[str, str], words: str) -> None:
    with pytest.raises(EradioError, match=words):
        load_teacher(TeacherSpec(name="expert", weights="hub", **spec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "clip", "weights": "hub"}, "need 'model'"),
        ({"kind": "dino", "weights": "hub", "model": "a", "tag": "b"}, "remove 'tag'"),
    ],
)
def test_specifications_that_contradict_themselves(spec: dict[str, str], words: str) -> None:
    with pytest.raises(EradioError, match=words):
        TeacherSpec.parse({"name": "expert", **spec}, "here")


def test_a_tag_tells_the_activation_function_and_the_normalisation() -> None:
    """OpenAI's weights want another GELU than their model's name says; open_clip only warns of it."""
    plain = _published(TeacherSpec(kind="clip", name="a", weights="x", model="ViT-B-32"))
    openai = _published(TeacherSpec(kind="clip", name="a", weights="x", model="ViT-B-32", tag="openai"))
    assert not any(isinstance(module, QuickGELU) for module in plain.visual.modules())
    assert any(isinstance(module, QuickGELU) for module in openai.visual.modules())


def test_a_siglip_s_tower_of_timm_is_a_teacher_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny-siglip.json").write_text(json.dumps(SIGLIP))
    open_clip.add_model_config(tmp_path / "tiny-siglip.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-siglip", pretrained=None)
    save_file(model.state_dict(), tmp_path / "siglip.safetensors")
    spec = TeacherSpec(kind="clip", name="s", weights=str(tmp_path / "siglip.safetensors"), model="tiny-siglip")
    teacher = load_teacher(spec)
    assert (teacher.resolution, teacher.summary_width, teacher.spatial_width) == (224, 192, 192)
    answer = teacher(torch.rand(2, 3, 224, 224))
    assert answer.spatial.shape == (2, 192, 14, 14)
    with torch.no_grad():
        mean, std = torch.tensor(model.visual.image_mean), torch.tensor(model.visual.image_std)
        pictures = torch.rand(2, 3, 224, 224)
        own = model.eval().encode_image((pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert torch.allclose(teacher(pictures).summary, own, atol=1e-4)
