"""At which side teachers look: their own, that of the pictures, or a mosaic's."""

from pathlib import Path

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d

from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.student import new_student
from eradio.distill.teachers import ClipTeacher, TeacherSpec, load_teacher, shipped
from eradio.distill.teachers.backbone import TimmTeacher
from eradio.distill.teachers.base import UNKNOWN_LICENCE, Teacher
from eradio.distill.teachers.dino import DinoTeacher
from eradio.distill.teachers.view import own_side, seen, tiles
from eradio.errors import EradioError
from eradio.features import Features
from eradio.files import write_json
from eradio.search_space import build, named
from eradio.tensors import write_tensors


class Means(Teacher):
    """Its map is the mean of each patch, so a mosaic's pieces are known."""

    def __init__(self, side: int, patch: int) -> None:
        plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
        super().__init__(name="means", digest="0" * 16, resolution=side, patch=patch, widths=(None, 3), **plain)

    def _features(self, pictures: Tensor) -> Features:
        return Features(None, avg_pool2d(pictures, self.patch))


@pytest.mark.parametrize(
    ("side", "patch", "pictures", "across"), [(64, 8, 32, 2), (64, 8, 16, 4), (1024, 16, 256, 4), (64, 8, 64, 1)]
)
def test_a_mosaic_s_pieces_are_the_pictures_own_maps(side: int, patch: int, pictures: int, across: int) -> None:
    teacher = Means(side, patch)
    shown = torch.rand(across**2 + 1, 3, pictures, pictures)
    assert tiles(teacher, pictures) == across
    found = seen(teacher, shown, "mosaic").spatial
    assert torch.allclose(found, avg_pool2d(shown, patch), atol=1e-6)


def test_what_does_not_divide_is_brought_to_whole_places() -> None:
    teacher = Means(80, 8)
    shown = torch.rand(3, 3, 24, 24)
    assert tiles(teacher, 24) == 3
    assert seen(teacher, shown, "mosaic").spatial.shape == (3, 3, 3, 3)
    assert seen(teacher, torch.rand(2, 3, 200, 200), "mosaic").spatial.shape == (2, 3, 10, 10)


def test_the_shipped_sam_looks_at_mosaics() -> None:
    (sam,) = (load_teacher(spec.model_copy(update={"view": "mosaic"})) for spec in shipped() if spec.kind == "sam")
    found = seen(sam, torch.rand(5, 3, 32, 32), "mosaic")
    assert found.summary is None
    assert found.spatial.shape == (5, sam.spatial_width, 4, 4)


@pytest.mark.parametrize(
    ("patch", "pictures", "side"),
    [(14, 432, 378), (14, 224, 196), (16, 432, 432), (8, 64, 64), (32, 224, 224), (7, 64, 56), (14, 16, 14)],
)
def test_pictures_as_they_are_have_a_place_for_each_sixteen_pixels(patch: int, pictures: int, side: int) -> None:
    assert own_side(Means(patch * 10, patch), pictures) == side


def _clip(vision: dict[str, object]) -> ClipTeacher:
    torch.manual_seed(0)
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    clip = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    plain = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "size": 64}
    open_clip.model.set_model_preprocess_cfg(clip, plain)
    return ClipTeacher(clip, lambda captions: torch.zeros(len(captions), 8), "clip", "0" * 16)


OWN = {"image_size": 64, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
TIMM = {
    "image_size": 64,
    "timm_model_name": "vit_tiny_patch16_224",
    "timm_pool": "",
    "timm_proj": "linear",
}


@pytest.mark.parametrize("vision", [OWN, TIMM], ids=["open_clip", "timm"])
def test_a_clip_s_positions_follow_the_side(vision: dict[str, object]) -> None:
    teacher = _clip(vision)
    assert teacher.flexible
    pictures = torch.rand(2, 3, 96, 96)
    assert teacher(pictures).spatial.shape == (2, teacher.spatial_width, 4, 4)
    assert seen(teacher, pictures, "pictures").spatial.shape == (2, teacher.spatial_width, 6, 6)


def test_resampled_positions_are_those_that_open_clip_loads_for_another_side() -> None:
    small = _clip(OWN)
    state = small.clip.state_dict()
    large = _clip({**OWN, "image_size": 96})
    open_clip.factory.resize_pos_embed(state, large.clip)
    large.clip.load_state_dict(state)
    pictures = torch.rand(2, 3, 96, 96)
    found, expected = seen(small, pictures, "pictures"), large(pictures)
    assert torch.allclose(found.spatial, expected.spatial, atol=1e-5)
    assert torch.allclose(found.summary, expected.summary, atol=1e-5)


def test_a_dino_s_positions_are_those_that_timm_makes_for_another_side() -> None:
    options = {"embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0}
    torch.manual_seed(0)
    small = DinoTeacher(timm.create_model("vit_small_patch14_dinov2", img_size=56, **options), "d", "0" * 16)
    large = timm.create_model("vit_small_patch14_dinov2", img_size=84, **options)
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(small.vit.state_dict(), large)
    large.load_state_dict(filtered)
    pictures = torch.rand(2, 3, 96, 96)
    found = seen(small, pictures, "pictures")
    assert found.spatial.shape[2:] == (6, 6)
    expected = DinoTeacher(large, "d", "0" * 16)(pictures)
    assert torch.allclose(found.spatial, expected.spatial, atol=1e-5)
    assert torch.allclose(found.summary, expected.summary, atol=1e-5)


def test_a_teacher_of_one_side_says_so() -> None:
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=0, img_size=64, window_size=2, depths=(1, 1, 1, 1), embed_dim=24,
        num_heads=(1, 2, 4, 8),
    )  # fmt: skip
    teacher = TimmTeacher(swin, "swin", "0" * 16, 64)
    assert not teacher.flexible
    with pytest.raises(EradioError, match="cannot look at 96 pixels; its own side is 64"):
        seen(teacher, torch.rand(1, 3, 96, 96), "pictures")


def test_rotations_of_one_side_are_not_taken_for_any() -> None:
    fixed = timm.create_model("eva02_tiny_patch14_224", num_classes=0, img_size=56, depth=1)
    assert not DinoTeacher(fixed, "eva", "0" * 16).flexible
    free = timm.create_model("eva02_tiny_patch14_224", num_classes=0, img_size=56, depth=1, dynamic_img_size=True)
    teacher = DinoTeacher(free, "eva", "0" * 16)
    assert teacher(torch.rand(1, 3, 84, 84), 84).spatial.shape[2:] == (6, 6)


@pytest.mark.parametrize(
    ("kind", "view", "words"), [("clip", "mosaic", "only a SAM"), ("sam", "pictures", "its own side only")]
)
def test_views_that_a_kind_does_not_have_are_refused(kind: str, view: str, words: str) -> None:
    with pytest.raises(EradioError, match=words):
        TeacherSpec.parse({"kind": kind, "name": "a", "view": view}, "here")


def test_licences_are_said_by_recipe_folder_or_library() -> None:
    assert [load_teacher(spec).licence for spec in shipped()] == ["Apache-2.0"] * 3
    said = shipped()[0].model_copy(update={"licence": "MIT"})
    assert load_teacher(said).licence == "MIT"
    assert Means(64, 8).licence == UNKNOWN_LICENCE


def test_timm_s_licence_is_that_of_the_weights_it_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), path)
    plain = {"kind": "timm", "name": "t", "weights": str(path)}
    assert load_teacher(TeacherSpec(**plain, model="resnet10t")).licence == UNKNOWN_LICENCE
    assert load_teacher(TeacherSpec(**plain, model="resnet10t.c3_in1k")).licence == "apache-2.0"


def test_a_proxy_s_licence_is_that_of_its_teachers(tmp_path: Path) -> None:
    network = named("e_radio_mini_s")
    student = new_student(lambda seed: build(network, seed), (TeacherShape("t", 4, 4),), Recipe(), "0")
    write_json(tmp_path / "architecture.json", network.model_dump(mode="json"))
    write_tensors(tmp_path / "student.safetensors", student.state_dict())
    spec = TeacherSpec(kind="student", name="proxy", weights=str(tmp_path))
    assert load_teacher(spec).licence == UNKNOWN_LICENCE
    write_json(tmp_path / "manifest.json", {"licences": {"clip": "MIT", "sam": "Apache-2.0"}})
    assert load_teacher(spec).licence == "of its teacher clip: MIT; of its teacher sam: Apache-2.0"
