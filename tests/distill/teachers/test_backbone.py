"""Any timm network, and any finished student, as a teacher."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.student import new_student
from eradio.distill.teachers import TeacherSpec, load_teacher
from eradio.distill.teachers.backbone import TimmTeacher
from eradio.errors import EradioError
from eradio.files import write_json
from eradio.search_space import build, named
from eradio.tensors import write_tensors
from tests.contracts.teacher import TeacherContract

CONVOLUTIONS, TOKENS, WINDOWS = "resnet10t", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"
SMALL = {WINDOWS: {"depths": (1, 1, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 4, 8)}}


def _checkpoint(name: str, folder: Path, side: int = 224) -> Path:
    """With its classifier, as published ones come."""
    torch.manual_seed(0)
    options = {"img_size": side} if name == TOKENS else {}
    path = folder / f"{name}.safetensors"
    save_file(timm.create_model(name, **options).state_dict(), path)
    return path


@pytest.mark.parametrize("name", [CONVOLUTIONS, TOKENS])
class TestTimm(TeacherContract):
    @pytest.fixture
    def teacher(self, name, tmp_path):
        path = _checkpoint(name, tmp_path)
        return load_teacher(TeacherSpec(kind="timm", name="t", weights=str(path), model=name, resolution=96))

    def test_it_is_timm_s_network(self, name, teacher, pictures):
        torch.manual_seed(0)
        own = timm.create_model(name, **({"img_size": 224} if name == TOKENS else {}))
        theirs = dict(teacher.model.named_parameters())
        same = [
            torch.equal(value, theirs[key])
            for key, value in own.named_parameters()
            if key in theirs and key != "pos_embed"
        ]
        assert len(same) >= len(theirs) - 1
        assert all(same)
        assert teacher.resolution == 96


def test_maps_whose_channels_come_last_are_turned():
    torch.manual_seed(0)
    model = timm.create_model(WINDOWS, num_classes=0, img_size=64, window_size=2, **SMALL[WINDOWS])
    teacher = TimmTeacher(model, "swin", "0" * 16, 64)
    answer = teacher(torch.rand(2, 3, 64, 64))
    assert answer.spatial.shape == (2, teacher.spatial_width, 2, 2)
    assert answer.summary.shape == (2, teacher.summary_width)


def _student(folder: Path, name: str = "e_radio_mini_s") -> torch.nn.Module:
    network = named(name)
    student = new_student(lambda seed: build(network, seed), (TeacherShape("t", 4, 4),), Recipe(), "0").eval()
    write_json(folder / "architecture.json", network.model_dump(mode="json"))
    write_tensors(folder / "student.safetensors", student.state_dict())
    return student


@pytest.mark.parametrize("name", ["e_radio_mini_s", "resnet_s", "vit_s"])
class TestStudent(TeacherContract):
    """The proxy between experts and a small student, be it ours or timm's."""

    @pytest.fixture
    def teacher(self, tmp_path, name):
        _student(tmp_path, name)
        return load_teacher(TeacherSpec(kind="student", name="proxy", weights=str(tmp_path)))


def test_a_proxy_answers_with_the_backbone_s_own_features(tmp_path):
    student = _student(tmp_path)
    teacher = load_teacher(TeacherSpec(kind="student", name="proxy", weights=str(tmp_path), resolution=96))
    pictures = torch.rand(2, 3, 96, 96)
    student.backbone.set_input_size((96, 96))
    with torch.no_grad():
        expected = student.backbone(pictures)
    assert torch.equal(teacher(pictures).spatial, expected.spatial)
    assert torch.equal(teacher(pictures).summary, expected.summary)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "student", "weights": "/nowhere"}, "'weights' must name its folder"),
        ({"kind": "student", "weights": "FOLDER"}, "holds no student.safetensors"),
        ({"kind": "timm", "weights": "/nowhere.safetensors", "model": "resnet10t"}, "no file /nowhere"),
        ({"kind": "timm", "weights": "/nowhere.safetensors", "model": "resnet_of_dreams"}, "timm knows no model"),
    ],
)
def test_mistakes_are_sentences(tmp_path, spec, words):
    with pytest.raises(EradioError, match=words):
        load_teacher(TeacherSpec(name="mine", **{**spec, "weights": spec["weights"].replace("FOLDER", str(tmp_path))}))


def test_neither_is_shipped():
    with pytest.raises(EradioError, match="no teacher of kind 'timm' is shipped"):
        TeacherSpec.parse({"kind": "timm", "name": "a"}, "here")
