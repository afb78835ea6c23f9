"""Squares that begin at places of their own: what student and teachers see of a page."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
import yaml

from eradio.cli import run_command
from eradio.distill.data import open_data
from eradio.distill.losses import Shift, spatial_loss
from eradio.distill.pages import Page
from eradio.distill.recipe import Partition, Recipe, SpatialLoss
from eradio.distill.squares import STUDENT, shifts_at, squares_at
from eradio.distill.targets import LiveTargets
from eradio.distill.teachers import shipped
from eradio.errors import EradioError

RECIPE = Recipe(partitions=(Partition(batch=2),), shift=2, stored="float32", validation=2)
NAMES = ("clip", "dino", "sam")


def test_squares_are_a_function_of_the_page_and_validation_has_none() -> None:
    pages = [Page("train", step) for step in range(200)]
    drawn = [squares_at(RECIPE, page) for page in pages]
    assert drawn == [squares_at(RECIPE, page) for page in pages]
    for name in (STUDENT, *NAMES):
        assert {one[name][0] for one in drawn} == {one[name][1] for one in drawn} == {0, 1, 2}
    assert {shifts_at(RECIPE, page, NAMES)["sam"][0] for page in pages} == {-2, -1, 0, 1, 2}
    assert shifts_at(RECIPE, Page("validation", 0), NAMES) == {}
    assert shifts_at(RECIPE.model_copy(update={"shift": 0}), pages[0], NAMES) == {}


def test_each_sees_its_own_square_of_what_is_printed() -> None:
    live = LiveTargets(RECIPE, *open_data(RECIPE))
    page = next(Page("train", step) for step in range(99) if squares_at(RECIPE, Page("train", step))["dino"] == (2, 0))
    printed = live.ahead.print(page).pictures
    assert printed.shape[2:] == (96, 96)
    batch, squares = live.batch(page), squares_at(RECIPE, page)
    top, left = (16 * one for one in squares[STUDENT])
    assert torch.equal(batch.pictures, printed[:, :, top : top + 64, left : left + 64])
    (dino,) = (one for one in live.teachers if one.name == "dino")
    alone = dino(printed[:, :, 32:96, :64].float() / 255)
    assert torch.allclose(batch.targets["dino"].spatial, alone.spatial, atol=1e-4)
    assert batch.shifts["dino"] == (2 - squares[STUDENT][0], 0 - squares[STUDENT][1])


def test_a_student_that_says_the_same_of_the_same_places_has_no_loss() -> None:
    """Two squares of one large map, of which one begins a patch further down: their common places agree."""
    large = torch.randn(2, 5, 8, 8)
    student, teacher = large[:, :, :6, 1:7], large[:, :, 2:8, :6]
    shift = Shift(2, -1, Fraction(1, 6))
    assert spatial_loss(student, teacher, SpatialLoss(mse=1.0), shift) < 1e-6
    assert spatial_loss(student, teacher, SpatialLoss(mse=1.0)) > 0.1


def test_shifts_that_are_no_whole_places_are_refused() -> None:
    maps = torch.randn(1, 4, 5, 5)
    with pytest.raises(EradioError, match="cannot be shifted by whole patches"):
        spatial_loss(maps, maps, SpatialLoss(), Shift(0, 0, Fraction(1, 4)))


def test_maps_that_cannot_be_shifted_are_refused_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the shipped teachers, of 8x8 places, at 48 pixels; not where they look at the pictures."""
    recipe = {
        "partitions": [{"batch": 4, "later": [{"step": 1, "resolution": [64, 48]}]}],
        "shift": 1,
        "steps": 2,
        "validation": 4,
    }
    path, out = tmp_path / "recipe.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(recipe))
    assert run_command(["distill", "e_radio_mini_s", "--config", str(path), "--out", str(out)]) == 1
    assert "teacher 'clip' and the student have" in " ".join(capsys.readouterr().err.split())
    assert not (out / "checkpoints").exists()
    seeing = [{"kind": kind, "name": kind, "view": "pictures"} for kind in ("clip", "dino")]
    path.write_text(yaml.safe_dump({**recipe, "teachers": seeing}))
    assert run_command(["distill", "e_radio_mini_s", "--config", str(path), "--out", str(out)]) == 0


def test_squares_that_share_nothing_are_refused() -> None:
    with pytest.raises(EradioError, match="share nothing of 64 pixels"):
        Recipe.parse({"shift": 4}, "here")
    assert Recipe.parse({"shift": 3}, "here").shift == 3


def test_a_mosaic_is_computed_as_a_whole() -> None:
    mosaic = tuple(one.model_copy(update={"view": "mosaic"}) if one.kind == "sam" else one for one in shipped())
    recipe = Recipe(partitions=(Partition(batch=8, resolution=32),), teachers=mosaic, validation=2)
    live = LiveTargets(recipe, *open_data(recipe))
    whole = live.batch(Page("train", 0))
    half = live.batch(Page("train", 0, rows=range(4, 8)))
    assert torch.allclose(whole.targets["sam"].spatial[4:].float(), half.targets["sam"].spatial.float(), atol=0.05)
    with pytest.raises(EradioError, match="mosaics of teacher 'sam' are of 4 pictures"):
        live.batch(Page("train", 0, rows=range(2, 4)))
