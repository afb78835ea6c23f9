"""The trainer: resume is exact, rungs share a trunk, divergence has a reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.losses import distillation_losses
from eradio.distill.pages import Page, pages
from eradio.distill.recipe import Optimiser, Partition, Recipe
from eradio.distill.scales import Scales
from eradio.distill.student import Student, new_student
from eradio.distill.targets import Batch, LiveTargets
from eradio.distill.trainer import DivergedError, Trainer
from eradio.errors import EradioError
from eradio.features import Features
from eradio.scenes import Scenes

TEACHERS = (TeacherShape("clip", 6, 8), TeacherShape("sam", None, 4))
PARTITIONS = (Partition(batch=4, resolution=(16,), teachers=("clip", "dino", "sam")),)
RECIPE = Recipe(partitions=PARTITIONS, steps=20, optimiser=Optimiser(warmup=2, decay=0.25))
VALIDATION = [Page("validation", 0), Page("validation", 1)]


class Backbone(nn.Module):
    """The smallest network with a batch norm and a map."""

    summary_width = 8
    spatial_width = 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.GELU())

    def forward(self, pictures: Tensor) -> Features:
        spatial = self.body(pictures)
        return Features(spatial.mean((2, 3)), spatial)


class Noise:
    """Targets that are a function of the page and nothing else."""

    def __init__(self, spoiled: int = -1) -> None:
        self.scales: Scales = {}
        self.spoiled = spoiled
        self.asked: list[Page] = []

    def batch(self, page: Page) -> Batch:
        self.asked.append(page)
        random = torch.Generator().manual_seed(page.number + 1000 * (page.part == "validation"))
        pictures = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=random)
        clip = Features(1 + torch.randn(4, 6, generator=random), 1 + torch.randn(4, 8, 4, 4, generator=random))
        sam = Features(None, torch.randn(4, 4, 4, 4, generator=random))
        if page == Page("train", self.spoiled):
            sam.spatial.fill_(torch.nan)
        return Batch(pictures, {"clip": clip, "sam": sam}, ("bad.png",) if page.number == 3 else ())


class StopError(Exception):
    """Stands for a kill."""


def _student() -> Student:
    return new_student(lambda seed: Backbone(), TEACHERS, RECIPE, "abc")


def _trainer(student: Student, noise: Noise | None = None) -> Trainer:
    return Trainer(student, RECIPE, noise or Noise(), VALIDATION)


def _equal(first: Student, second: Student) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


def test_first_weights_follow_from_seed_and_identity() -> None:
    torch.manual_seed(5)
    first = _student()
    torch.manual_seed(6)
    assert _equal(first, _student())
    assert not _equal(first, new_student(lambda seed: Backbone(), TEACHERS, RECIPE, "abd"))


VARIANTS: list[dict[str, object]] = [
    {"average": 0.9},
    {"weighting": {"kind": "adaloss"}},
    {"weighting": {"kind": "uncertainty"}},
    {"optimiser": {"kind": "lamb", "warmup": 2}},
    {"optimiser": {"schedule": "cosine", "restarts": 1, "warmup": 2}},
    {"optimiser": {"frozen": 9, "warmup": 2}},
    {"precision": "bfloat16"},
    {"alignment": {"resolution": [16, 32]}},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_kind_of_training_is_resumed_exactly(tmp_path: Path, variant: dict[str, object]) -> None:
    recipe = Recipe.parse({**RECIPE.model_dump(), **variant}, "test")

    def begun() -> tuple[Student, Trainer]:
        student = new_student(lambda seed: Backbone(), TEACHERS, recipe, "abc")
        return student, Trainer(student, recipe, Noise(), VALIDATION)

    def kill(step: int, loss: float) -> None:
        if step == 7:
            raise StopError

    whole, trainer = begun()
    expected = trainer.run(20, CheckpointFolder(tmp_path / "whole"))
    kept = CheckpointFolder(tmp_path / "cut", seconds_between=0)
    with pytest.raises(StopError):
        begun()[1].run(20, kept, watch=kill)
    resumed, trainer = begun()
    assert trainer.begin(20, kept) == 6
    assert trainer.run(20, kept) == expected
    assert _equal(resumed, whole)


class Dropping(Backbone):
    """Draws at random which channels it leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.body.append(nn.Dropout2d(0.3))


def test_what_a_network_draws_follows_from_the_step(tmp_path: Path) -> None:
    """Resumed, or taught beside others that draw too, it becomes what it was."""

    def begun() -> tuple[Student, Trainer]:
        student = new_student(lambda seed: Dropping(), TEACHERS, RECIPE, "abc")
        return student, Trainer(student, RECIPE, Noise(), VALIDATION)

    def kill(step: int, loss: float) -> None:
        torch.rand(step)
        if step == 7:
            raise StopError

    whole, trainer = begun()
    expected = trainer.run(20, CheckpointFolder(tmp_path / "whole"))
    kept = CheckpointFolder(tmp_path / "cut", seconds_between=0)
    with pytest.raises(StopError):
        begun()[1].run(20, kept, watch=kill)
    resumed, trainer = begun()
    assert trainer.run(20, kept) == expected
    assert _equal(resumed, whole)


@pytest.mark.parametrize("stop", [1, 7, 15, 16, 19])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    whole = _student()
    expected = _trainer(whole).run(20, CheckpointFolder(tmp_path / "whole"))

    def kill(step: int, loss: float) -> None:
        if step == stop:
            raise StopError

    kept = CheckpointFolder(tmp_path / "cut", seconds_between=0)
    with pytest.raises(StopError):
        _trainer(_student()).run(20, kept, watch=kill)
    resumed, noise = _student(), Noise()
    outcome = _trainer(resumed, noise).run(20, kept)
    assert outcome == expected
    assert _equal(resumed, whole)
    assert noise.asked[0] == (Page("train", stop - 1))


def test_a_longer_rung_continues_the_trunk_as_if_it_had_been_alone(tmp_path: Path) -> None:
    alone = _student()
    expected = _trainer(alone).run(40, CheckpointFolder(tmp_path / "alone"))
    kept = CheckpointFolder(tmp_path / "rungs")
    short = _trainer(_student()).run(20, kept)
    longer, noise = _student(), Noise()
    outcome = _trainer(longer, noise).run(40, kept)
    assert noise.asked[0] == Page("train", 15)
    assert outcome == expected
    assert _equal(longer, alone)
    assert short.curve[:15] == outcome.curve[:15]


def test_a_finished_rung_is_only_validated_again(tmp_path: Path) -> None:
    kept = CheckpointFolder(tmp_path)
    first = _trainer(_student()).run(20, kept)
    noise = Noise()
    assert _trainer(_student(), noise).run(20, kept) == first
    assert noise.asked == VALIDATION
    kept.drop(20)
    assert [path.name for path in tmp_path.iterdir()] == ["trunk-15.pt"]


def test_the_loss_falls_and_unreadable_files_are_reported(tmp_path: Path) -> None:
    outcome = _trainer(_student()).run(20, CheckpointFolder(tmp_path))
    assert outcome.curve[-1][1] < outcome.curve[0][1]
    assert outcome.unreadable == ("bad.png",)
    assert set(outcome.parts) == {"clip/summary", "clip/spatial", "sam/spatial"}
    assert outcome.loss == pytest.approx(sum(outcome.parts.values()))


def test_a_student_is_drawn_to_its_own_maps_at_other_resolutions(tmp_path: Path) -> None:
    apart = []
    for weight in (1e-6, 30.0):
        recipe = Recipe.parse({**RECIPE.model_dump(), "alignment": {"resolution": [32], "weight": weight}}, "test")
        student = new_student(lambda seed: Backbone(), TEACHERS, recipe, "abc")
        trainer = Trainer(student, recipe, Noise(), VALIDATION)
        outcome = trainer.run(20, CheckpointFolder(tmp_path / str(weight)))
        assert set(outcome.parts) == {"clip/summary", "clip/spatial", "sam/spatial"}
        apart.append(trainer.losses["alignment"])
    assert apart[1] < 0.95 * apart[0]


def test_divergence_has_a_reason(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="nan at step 5"):
        _trainer(_student(), Noise(spoiled=4)).run(20, CheckpointFolder(tmp_path))


def test_a_broken_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rung-20.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(EradioError, match=r"rung-20\.pt cannot be read"):
        _trainer(_student()).run(20, CheckpointFolder(tmp_path))


def test_norms_and_biases_are_not_decayed(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"optimiser": Optimiser(learning_rate=1e-9, weight_decay=1e6, warmup=0)})
    student = _student()
    before = {name: weight.clone() for name, weight in student.named_parameters()}
    Trainer(student, recipe, Noise(), VALIDATION).run(1, CheckpointFolder(tmp_path))
    for name, weight in student.named_parameters():
        shrunk = not torch.allclose(weight, before[name], rtol=1e-5, atol=1e-7)
        assert shrunk == (weight.ndim > 1), name


def test_validation_is_the_mean_over_pictures_whatever_the_pages(tmp_path: Path) -> None:
    class Uneven(Noise):
        def batch(self, page: Page) -> Batch:
            whole = super().batch(page)
            if page != VALIDATION[1]:
                return whole
            targets = {
                name: Features(None if one.summary is None else one.summary[:1], one.spatial[:1])
                for name, one in whole.targets.items()
            }
            return Batch(whole.pictures[:1], targets)

    student, noise = _student(), Uneven()
    parts = _trainer(student, noise).validate()
    pages = [noise.batch(page) for page in VALIDATION]
    with torch.no_grad():
        losses = [RECIPE.summary, RECIPE.spatial]
        each = [distillation_losses(student(page.inputs()), page.floats(), *losses) for page in pages]
    for name, value in parts.items():
        assert value == pytest.approx((4 * each[0][name].item() + each[1][name].item()) / 5)


def test_labels_and_captions_never_reach_distillation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded world refuses to give anything but pixels, and a student is taught and validated all the same."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("distillation asked for labels")

    monkeypatch.setattr(Scenes, "scene", refuse)
    monkeypatch.setattr("eradio.scenes.dataset.caption", refuse)
    recipe = Recipe(partitions=(Partition(batch=2),), validation=2, steps=2)
    live = LiveTargets(recipe, *open_data(recipe))
    shapes = [TeacherShape(one.name, one.summary_width, one.spatial_width) for one in live.teachers]
    student = new_student(lambda seed: Backbone(), tuple(shapes), recipe, "abc")
    validation = [page for page in pages(recipe, range(0), 10) if page.part == "validation"]
    outcome = Trainer(student, recipe, live, validation).run(2, CheckpointFolder(tmp_path))
    assert len(outcome.curve) == 2
    with pytest.raises(AssertionError, match="asked for labels"):
        Scenes("train", size=64).scene(0)


class Once:
    """A guard that cannot be held twice, as a lock with a measurer waiting for it cannot."""

    held = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        assert not self.held
        self.held = True
        yield
        self.held = False


class Guarded(Noise):
    """Live targets: they hold the guard while their teachers answer."""

    def __init__(self, guard: Once) -> None:
        super().__init__()
        self.guard = guard

    def batch(self, page: Page) -> Batch:
        with self.guard():
            return super().batch(page)


def test_the_guard_is_never_held_twice(tmp_path: Path) -> None:
    guard = Once()
    trainer = Trainer(_student(), RECIPE, Guarded(guard), VALIDATION)
    outcome = trainer.run(3, CheckpointFolder(tmp_path), guard=guard)
    assert outcome.steps == 3
