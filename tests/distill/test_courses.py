"""One teachers' pass for many students: each is the one that was taught alone."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.courses import taught_together
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, validation_pages
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.student import new_student
from eradio.distill.targets import Batch, LiveTargets
from eradio.distill.trainer import DivergedError, Trainer
from eradio.search_space import build, named

RECIPE = Recipe(
    partitions=(Partition(teachers=("clip", "dino"), batch=4), Partition(teachers=("sam",), batch=2, resolution=(96,))),
    validation=4,
    steps=6,
)
VALIDATION = validation_pages(RECIPE, 4)
NETWORKS = ("e_radio_mini_s", "e_radio_mini", "resnet_s")


class Counted:
    """Live targets that count what is asked of them, and spoil nothing."""

    def __init__(self, live: LiveTargets) -> None:
        self._live = live
        self.scales = live.scales
        self.asked: Counter[Page] = Counter()

    def batch(self, page: Page) -> Batch:
        self.asked[page] += 1
        return self._live.batch(page)


@pytest.fixture(scope="module")
def live() -> LiveTargets:
    torch.set_num_threads(1)
    return LiveTargets(RECIPE, *open_data(RECIPE))


def _trainer(name: str, live: LiveTargets, rate: float | None = None) -> tuple[Trainer, dict[str, Tensor]]:
    shapes = tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in live.teachers)
    student = new_student(lambda seed: build(named(name), seed), shapes, RECIPE, named(name).digest())
    recipe = RECIPE
    if rate is not None:
        optimiser = RECIPE.optimiser.model_copy(update={"learning_rate": rate, "warmup": 0})
        recipe = RECIPE.model_copy(update={"optimiser": optimiser})
    return Trainer(student, recipe, live, VALIDATION), student.state_dict()


def _alone(name: str, live: LiveTargets, folder: Path) -> tuple[object, dict[str, Tensor]]:
    trainer, weights = _trainer(name, live)
    return trainer.run(6, CheckpointFolder(folder)), weights


def test_students_taught_together_are_those_taught_alone_though_one_fails(live: LiveTargets, tmp_path: Path) -> None:
    expected = {name: _alone(name, live, tmp_path / f"{name} alone") for name in NETWORKS}
    members = {name: _trainer(name, live) for name in NETWORKS}
    members["hopeless"] = _trainer("e_radio_mini_s", live, rate=1e20)
    targets = Counted(live)
    courses = {name: trainer.course(6, CheckpointFolder(tmp_path / name)) for name, (trainer, _) in members.items()}
    ends = dict(taught_together(courses, targets))
    assert isinstance(ends["hopeless"], DivergedError)
    for name in NETWORKS:
        assert ends[name] == expected[name][0]
        assert all(torch.equal(value, expected[name][1][key]) for key, value in members[name][1].items())
    assert set(targets.asked.values()) == {1}
    assert len(targets.asked) == 6 * 2 + len(VALIDATION)


def test_one_that_is_behind_catches_up_first(live: LiveTargets, tmp_path: Path) -> None:
    """Its checkpoint is from the middle of the rung; the other one is new."""
    expected = {name: _alone(name, live, tmp_path / f"{name} alone") for name in NETWORKS[:2]}
    ahead, _ = _trainer(NETWORKS[0], live)

    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 4:
            raise StopError

    kept = CheckpointFolder(tmp_path / "ahead", seconds_between=0)
    with pytest.raises(StopError):
        ahead.run(6, kept, watch=stop)
    members = {name: _trainer(name, live) for name in NETWORKS[:2]}
    folders = {NETWORKS[0]: kept, NETWORKS[1]: CheckpointFolder(tmp_path / "behind")}
    targets = Counted(live)
    courses = {name: trainer.course(6, folders[name]) for name, (trainer, _) in members.items()}
    ends = dict(taught_together(courses, targets))
    for name in NETWORKS[:2]:
        assert ends[name] == expected[name][0]
        assert all(torch.equal(value, expected[name][1][key]) for key, value in members[name][1].items())
    assert set(targets.asked.values()) == {1}


def test_what_cannot_be_made_is_nobody_s_own_failure(live: LiveTargets, tmp_path: Path) -> None:
    class Broken(Counted):
        def batch(self, page: Page) -> Batch:
            raise OSError("the disk is gone")

    trainer, _ = _trainer(NETWORKS[0], live)
    with pytest.raises(OSError, match="the disk is gone"):
        dict(taught_together({"a": trainer.course(6, CheckpointFolder(tmp_path))}, Broken(live)))
