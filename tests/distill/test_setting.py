"""How a step is divided: whatever the division, each picture is computed once."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.distill.pages import Page, validation_pages
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.setting import Setting, setting_for
from eradio.errors import EradioError


def _recipe(*partitions: Partition, **others: object) -> Recipe:
    return Recipe.model_validate({"partitions": partitions, **others})


LOW = Partition(teachers=("clip", "dino"), batch=24, processes=3)
HIGH = Partition(teachers=("sam",), batch=4, resolution=(128,), processes=1)


@given(each=st.sampled_from([1, 2, 4]))
def test_every_picture_of_every_partition_is_computed_by_one_process(each: int) -> None:
    recipe = _recipe(LOW, HIGH)
    shares = [share for rank in range(4 * each) for share in _shares(rank, 4 * each, recipe)]
    rows = Counter((share.partition, row) for share in shares for row in share.rows)
    assert rows == Counter([(0, row) for row in range(24)] + [(1, row) for row in range(4)])


def _shares(rank: int, processes: int, recipe: Recipe) -> list:
    return Setting(rank=rank, processes=processes).shares(recipe, norms=False)


@pytest.mark.parametrize("processes", [4, 8])
def test_every_picture_of_validation_is_computed_by_one_process_and_no_batch_is_larger_than_in_training(
    processes: int,
) -> None:
    recipe = _recipe(LOW, HIGH, validation=101)
    every, found = validation_pages(recipe, 10**6), Counter()
    for rank in range(processes):
        for share in _shares(rank, processes, recipe):
            for page in share.pages(every):
                rows = share.rows if page.rows is None else page.rows
                assert 0 < len(rows) <= len(share.rows)
                batch = recipe.partitions[page.partition].batch
                found.update((page.partition, page.number * batch + row) for row in rows)
    assert found == Counter((partition, picture) for partition in (0, 1) for picture in range(101))


@pytest.mark.parametrize("processes", [4, 8])
def test_processes_take_whole_pages_in_turn(processes: int) -> None:
    recipe = _recipe(LOW, HIGH, validation=101)
    every, found = validation_pages(recipe, 10**6), []
    for rank in range(processes):
        found += [page for share in _shares(rank, processes, recipe) for page in share.turns(every)]
    assert sorted(found, key=str) == sorted(every, key=str)


def test_one_process_takes_every_partition_whole() -> None:
    shares = Setting().shares(_recipe(LOW, HIGH))
    assert [(share.partition, len(share.rows)) for share in shares] == [(0, 24), (1, 4)]
    assert shares[0].of(Page("train", 3)) == Page("train", 3)


@pytest.mark.parametrize(
    ("setting", "recipe", "words"),
    [
        (Setting(processes=3), _recipe(LOW, HIGH), "divided among partitions as 3:1. Start a multiple of 4"),
        (Setting(processes=5), _recipe(Partition(batch=24)), "24 pictures cannot be divided among 5 processes"),
        (Setting(micro_batch=5), _recipe(Partition(batch=24)), "not whole micro-batches of 5"),
        (Setting(micro_batch=4), _recipe(Partition(batch=24)), "the whole batch of 24 pictures"),
        (Setting(micro_batch=4), _recipe(Partition(batch=24, group=8)), "groups of 8 pictures"),
        (Setting(processes=2), _recipe(Partition(batch=24)), "cannot be of 12"),
    ],
)
def test_what_does_not_divide_is_refused_in_words(setting: Setting, recipe: Recipe, words: str) -> None:
    with pytest.raises(EradioError, match=words):
        setting.shares(recipe)


def test_networks_without_batch_norms_may_be_cut_anywhere() -> None:
    assert Setting(micro_batch=4).shares(_recipe(Partition(batch=24)), norms=False)
    assert [cut.start for cut in Setting(micro_batch=8).pieces(24, 24)] == [0, 8, 16]
    assert Setting().pieces(24, 24) == [slice(0, 24)]
    assert Setting(micro_batch=16).pieces(3, 2) == [slice(0, 2), slice(2, 4)]


def test_a_device_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert setting_for("auto", None, False).device == "cpu"
    with pytest.raises(EradioError, match="Give --device cpu"):
        setting_for("cuda", None, False)
    with pytest.raises(EradioError, match="not 'tpu'"):
        setting_for("tpu", None, False)
