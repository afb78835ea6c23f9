"""The suite that every teacher must pass: subclass it and give it a teacher."""

import pytest
import torch

from eradio.distill.teachers import Teacher
from eradio.errors import EradioError


class TeacherContract:
    """A subclass defines the fixture `teacher`."""

    @pytest.fixture
    def teacher(self) -> Teacher:
        raise NotImplementedError

    @pytest.fixture
    def pictures(self, teacher: Teacher) -> torch.Tensor:
        side = teacher.resolution
        return torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))

    def test_widths_are_what_it_says(self, teacher, pictures):
        summary, spatial = teacher(pictures)
        assert spatial.shape[:2] == (3, teacher.spatial_width)
        assert spatial.ndim == 4
        if teacher.summary_width is None:
            assert summary is None
        else:
            assert summary.shape == (3, teacher.summary_width)

    def test_frozen(self, teacher, pictures):
        answer = teacher(pictures.requires_grad_())
        assert not answer.spatial.requires_grad
        assert not any(parameter.requires_grad for parameter in teacher.parameters())

    def test_stays_in_evaluation_mode(self, teacher):
        torch.nn.Sequential(teacher).train()
        assert not any(module.training for module in teacher.modules())

    def test_deterministic(self, teacher, pictures):
        assert torch.equal(teacher(pictures).spatial, teacher(pictures).spatial)

    def test_pictures_of_a_batch_do_not_see_each_other(self, teacher, pictures):
        together, alone = teacher(pictures), teacher(pictures[:1])
        assert torch.allclose(together.spatial[:1], alone.spatial, atol=1e-4)
        if together.summary is not None:
            assert torch.allclose(together.summary[:1], alone.summary, atol=1e-4)

    def test_pieces_of_a_batch_change_nothing_but_rounding(self, teacher, pictures, monkeypatch):
        whole, sizes, features = teacher(pictures), [], teacher._features
        monkeypatch.setattr(teacher, "_features", lambda piece: sizes.append(len(piece)) or features(piece))
        monkeypatch.setattr(teacher, "at_once", 2)
        pieces = teacher(pictures)
        assert sizes == [2, 1]
        assert torch.allclose(whole.spatial, pieces.spatial, atol=1e-4)
        assert whole.summary is None or torch.allclose(whole.summary, pieces.summary, atol=1e-4)

    def test_map_follows_the_picture(self, teacher, pictures):
        """Changing one corner changes the map most in that corner."""
        changed = pictures.clone()
        side = teacher.resolution // 2
        changed[:, :, side:, side:] = 1 - changed[:, :, side:, side:]
        moved = (teacher(changed).spatial - teacher(pictures).spatial).norm(dim=1).mean(0)
        height, width = moved.shape
        corner = moved[height // 2 :, width // 2 :].mean()
        assert corner > moved[: height // 2, : width // 2].mean()

    def test_other_sides_are_resampled(self, teacher, pictures):
        larger = torch.nn.functional.interpolate(pictures, scale_factor=2)
        assert teacher(larger).spatial.shape == teacher(pictures).spatial.shape

    def test_a_side_of_its_own_choice_is_looked_at_or_refused(self, teacher, pictures):
        """A flexible teacher has one place of its map for each patch; any other says that it has one side."""
        assert teacher.resolution % teacher.patch == 0
        assert teacher(pictures).spatial.shape[2] == teacher.resolution // teacher.patch
        side = 3 * teacher.patch
        if teacher.flexible:
            answer = teacher(pictures, side)
            assert answer.spatial.shape == (3, teacher.spatial_width, 3, 3)
            assert answer.spatial.isfinite().all()
            assert torch.equal(teacher(pictures, teacher.resolution).spatial, teacher(pictures).spatial)
        with pytest.raises(EradioError, match="cannot look at"):
            teacher(pictures, side + (1 if teacher.flexible and teacher.patch > 1 else teacher.resolution))

    def test_licence(self, teacher):
        assert teacher.licence

    def test_digest(self, teacher):
        assert len(teacher.digest) == 16
        assert int(teacher.digest, 16) >= 0
