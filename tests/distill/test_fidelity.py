"""Fidelity by resolution: a head that is right at one side and wrong at another cannot hide it."""

import pytest
import torch
from torch import Tensor, nn

from eradio.distill.data import open_data
from eradio.distill.fidelity import fidelities
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.teachers.base import Teacher
from eradio.features import Features

DATA = open_data(Recipe(partitions=(Partition(resolution=(64,)),)))[1]


class Patches(Teacher):
    """Its map is the pictures' own patches, its summary their mean."""

    def __init__(self, side: int) -> None:
        plain = {"name": "patches", "digest": "0" * 16, "widths": (3, 3), "mean": (0,) * 3, "std": (1,) * 3}
        super().__init__(resolution=side, patch=8, **plain)

    def _features(self, pictures: Tensor) -> Features:
        maps = nn.functional.avg_pool2d(pictures, 8)
        return Features(maps.mean((2, 3)), maps)


class Imitator(nn.Module):
    """Answers as the teacher does, but for noise above a side."""

    def __init__(self, switch: int, noise: float) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.teacher, self.switch, self.noise = Patches(32), switch, noise

    def forward(self, pictures: Tensor) -> dict[str, Features]:
        answer = self.teacher(pictures)
        if pictures.shape[-1] <= self.switch:
            return {"patches": answer}
        deviation = float(answer.spatial.std())
        return {
            "patches": Features(
                answer.summary, answer.spatial + self.noise * deviation * torch.randn(answer.spatial.shape)
            )
        }


def _by_side(student: nn.Module, sides: tuple[int, ...]) -> dict[tuple[str, int], float]:
    found = fidelities(student, [Patches(32)], DATA, sides, 40)  # type: ignore[arg-type]
    return {(one.head, one.side): one.value for one in found}


def test_a_switch_between_resolutions_shows() -> None:
    torch.manual_seed(0)
    found = _by_side(Imitator(48, noise=1.0), (32, 48, 64, 96))
    assert found["patches/spatial", 32] > 1e4
    assert found["patches/spatial", 48] > 1e4
    # Noise as large as the teacher's deviation: its variance over that of the noise, channel means aside.
    assert found["patches/spatial", 64] == pytest.approx(1, abs=0.15)
    assert found["patches/spatial", 96] == pytest.approx(1, abs=0.15)
    assert found["patches/summary", 96] > 1e4


def test_the_teacher_s_mean_has_fidelity_one() -> None:
    class Mean(nn.Module):
        backbone = nn.Identity()

        def forward(self, pictures: Tensor) -> dict[str, Features]:
            every = Patches(32)(self.pictures)
            spatial = every.spatial.mean((0, 2, 3)).view(1, 3, 1, 1).expand(len(pictures), 3, 4, 4)
            return {"patches": Features(None, spatial)}

    from eradio.distill.data import whole_pictures

    student = Mean()
    student.pictures = whole_pictures(DATA, 32, 40)  # type: ignore[assignment]
    assert _by_side(student, (32,))["patches/spatial", 32] == pytest.approx(1, rel=1e-5)
