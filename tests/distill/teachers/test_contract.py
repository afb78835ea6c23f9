import pytest
import torch

from eradio.distill.teachers import load_teacher, shipped
from eradio.distill.teachers.spec import TeacherSpec
from tests.contracts.teacher import TeacherContract


class TestShippedClip(TeacherContract):
    @pytest.fixture(scope="class")
    def teacher(self):
        return load_teacher(shipped()[0])

    def test_class_embeddings(self, teacher):
        embeddings = teacher.class_embeddings(["an owl", "a red apple", "an owl"])
        assert embeddings.shape == (3, teacher.summary_width)
        assert torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-5)
        assert torch.equal(embeddings[0], embeddings[2])
        assert not torch.allclose(embeddings[0], embeddings[1], atol=1e-2)

    def test_pictures_need_no_captions(self, teacher, pictures, monkeypatch):
        monkeypatch.delattr(type(teacher.clip), "encode_text")
        monkeypatch.setattr(teacher, "_tokenizer", None)
        assert teacher(pictures).summary is not None


class TestShippedDino(TeacherContract):
    @pytest.fixture(scope="class")
    def teacher(self):
        return load_teacher(shipped()[1])


class TestShippedSam(TeacherContract):
    @pytest.fixture(scope="class")
    def teacher(self):
        return load_teacher(shipped()[2])

    def test_masks_of_boxes(self, teacher, pictures):
        boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.2, 0.3, 0.9, 0.9]])
        maps = teacher(pictures).spatial
        logits = teacher.masks_of_boxes(maps, boxes, torch.tensor([2, 0]), 64)
        assert logits.shape == (2, 64, 64)
        alone = teacher.masks_of_boxes(maps[2:], boxes[:1], torch.tensor([0]), 64)
        assert torch.allclose(logits[:1], alone, atol=1e-4)

    def test_another_grid_is_resampled(self, teacher):
        maps = torch.randn(1, teacher.spatial_width, 4, 4)
        assert teacher.masks_of_boxes(maps, torch.tensor([[0, 0, 1.0, 1]]), torch.tensor([0]), 32).shape == (1, 32, 32)


@pytest.mark.parametrize("kind", ["clip", "dino", "sam"])
class TestTinyFolder(TeacherContract):
    @pytest.fixture
    def teacher(self, kind, folders):
        return load_teacher(TeacherSpec(kind=kind, name="tiny", weights=str(folders[kind])))
