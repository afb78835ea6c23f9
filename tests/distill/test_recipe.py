"""The recipe: what it means, and what it refuses."""

from pathlib import Path

import pytest

from eradio.distill.recipe import Recipe
from eradio.errors import EradioError

TWO = [{"teachers": ["clip", "dino"], "batch": 8}, {"teachers": ["sam", "clip"], "batch": 4, "resolution": 128}]


def _recipe(**changes: object) -> Recipe:
    return Recipe.parse(changes, "test")


def test_a_teacher_in_two_partitions_has_losses_of_its_own_in_each() -> None:
    recipe = _recipe(partitions=TWO)
    assert list(recipe.loss_weights()) == [
        f"{teacher}/{part}" for teacher in ("clip", "dino", "sam", "clip@128") for part in ("summary", "spatial")
    ]
    assert recipe.teachers_of(1) == ("sam", "clip")
    assert recipe.largest() == 128
    assert recipe.several_sides()


def test_a_single_resolution_may_be_written_as_a_number() -> None:
    assert _recipe(partitions=[{"resolution": 96}]) == _recipe(partitions=[{"resolution": [96]}])
    assert not _recipe(partitions=[{"resolution": 96}]).several_sides()


def test_the_length_and_the_kind_of_targets_are_no_part_of_a_training_s_identity() -> None:
    assert _recipe(steps=5, targets="live").identity() == _recipe(steps=50).identity()
    assert _recipe(seed=1).identity() != _recipe().identity()


def test_a_recipe_can_be_given_other_pictures_and_another_length(tmp_path: Path) -> None:
    changed = _recipe().changed(data=tmp_path, steps=7)
    assert (changed.steps, changed.data.kind) == (7, "folder")
    assert _recipe().changed() == _recipe()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partitions": [{"resolution": 60}]}, "multiple of 16"),
        ({"partitions": [{"resolution": []}]}, "partitions"),
        ({"partitions": []}, "partitions"),
        ({"partitions": [{"later": [{"step": 9, "resolution": 64}, {"step": 9, "resolution": 96}]}]}, "must rise"),
        ({"partitions": [{}, {"teachers": ["clip"]}, {"teachers": ["clip"]}]}, "same first resolution"),
        ({"partitions": [{"batch": 10, "group": 4}]}, "not whole groups of 4"),
        ({"teachers": [{"kind": "clip", "name": "a"}, {"kind": "dino", "name": "a"}]}, "different names"),
        ({"spatial": {"cosine": 0, "smooth_l1": 0}}, "null in place"),
        ({"balance": {"spatial": "phis"}}, "phi-s"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, object], words: str) -> None:
    with pytest.raises(EradioError, match=words):
        _recipe(**changes)
