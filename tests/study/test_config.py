"""A study's file: sentences for mistakes, and what may change while a run is continued."""

from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.config import DEFAULT, StudyConfig, changed_keys, read_config
from eradio.study.run import open_run


def test_the_default_study_is_valid_and_of_the_embedded_world() -> None:
    config = read_config(DEFAULT)
    assert config.recipe.data.kind == "scenes"
    assert {teacher.kind for teacher in config.recipe.teachers} == {"clip", "dino", "sam"}
    assert config.trials >= 24


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trails: 24", ["'trails' is not a known key", "trials"]),
        ("trials: -3", ["'trials'", "greater than or equal to 1", "-3"]),
        ("{finalist_steps: 5, recipe: {steps: 10}}", ["finalist_steps must be at least recipe.steps"]),
        ("recipe: {partitions: [{batch: many}]}", ["recipe.partitions", "many"]),
        ("recipe: {teachers: []}", ["'recipe.teachers'"]),
        ("target: {engine: warp}", ["target.engine", "warp"]),
        ("trials: [24", ["not valid YAML", "line"]),
        ("just a word", ["keys and values"]),
        ("name: ../escape", ["'name'"]),
        ("name: 2024-13-45", ["not valid YAML"]),
        ("recipe: {partitions: [{resolution: 32}]}", ["taught at 32 pixels", "measured at 64"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(EradioError) as caught:
        read_config(file)
    message = str(caught.value)
    assert str(file) in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_recipe_that_is_none_is_one_sentence_beside_a_folder_too(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("recipe: 3")
    with pytest.raises(EradioError, match="'recipe' must hold keys"):
        read_config(file, data=tmp_path)


def test_a_folder_and_a_budget_from_the_command_line_replace_the_file_s(tmp_path: Path) -> None:
    config = read_config(DEFAULT, data=tmp_path, trials=8)
    assert config.trials == 8
    assert config.recipe.data.kind == "folder"
    assert config.recipe.data.path == tmp_path
    assert config.name != read_config(DEFAULT).name


def test_a_run_folder_takes_another_budget_but_no_other_study(tmp_path: Path) -> None:
    config = StudyConfig(trials=5)
    for one in (config, StudyConfig(trials=9)):
        open_run(tmp_path, one).begin({"space": "abc"})
    assert open_run(tmp_path).config.trials == 9
    other = StudyConfig.parse({"seed": 3, "recipe": {"crop": {"smallest": 0.3}}}, "test")
    with pytest.raises(EradioError, match=r"recipe\.crop\.smallest, seed"):
        open_run(tmp_path, other)
    with pytest.raises(EradioError, match="space changed"):
        open_run(tmp_path).begin({"space": "def"})


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EradioError, match="no run folder"):
        open_run(tmp_path)


def test_changed_keys_are_dotted() -> None:
    assert changed_keys({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}) == ["a.c", "d", "e"]
