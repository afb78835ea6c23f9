"""Targets live and cached: the same bits, whoever computes them and however often."""

import os
from pathlib import Path

import pytest
import torch

from eradio.distill.cache import CachedTargets, cache_identity, choose, page_bytes
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, pages, training_pages
from eradio.distill.recipe import Crop, Partition, Recipe, training_identity
from eradio.distill.student import new_student
from eradio.distill.targets import Batch, LiveTargets
from eradio.distill.trainer import Trainer
from eradio.errors import EradioError
from eradio.locks import try_lock
from eradio.search_space import build, named

RECIPE = Recipe(partitions=(Partition(batch=4),), validation=6, steps=3)
PAGES = pages(RECIPE, range(3), 10**6)


@pytest.fixture(scope="module")
def live() -> LiveTargets:
    torch.set_num_threads(1)
    return LiveTargets(RECIPE, *open_data(RECIPE))


def _same(first: Batch, second: Batch) -> bool:
    if not torch.equal(first.pictures, second.pictures) or first.targets.keys() != second.targets.keys():
        return False
    for name, answer in first.targets.items():
        other = second.targets[name]
        if answer.spatial.dtype != other.spatial.dtype or not torch.equal(answer.spatial, other.spatial):
            return False
        if (answer.summary is None) != (other.summary is None):
            return False
        if answer.summary is not None and other.summary is not None and not torch.equal(answer.summary, other.summary):
            return False
    return True


def test_pages_are_validation_and_then_the_steps() -> None:
    assert [Page("validation", 0), Page("validation", 1), *(Page("train", step) for step in range(3))] == PAGES
    assert pages(RECIPE, range(0), 3) == [Page("validation", 0)]
    repeated = RECIPE.model_copy(update={"repeat": 2})
    assert [training_pages(repeated, step)[0].number for step in range(5)] == [0, 1, 0, 1, 0]
    assert pages(repeated, range(1, 4), 0) == [Page("train", 1), Page("train", 0)]


def test_cached_targets_are_the_live_ones_bit_for_bit(live: LiveTargets, tmp_path: Path) -> None:
    first, second = CachedTargets(live, tmp_path), CachedTargets(live, tmp_path)
    for page in PAGES:
        computed = live.batch(page)
        assert _same(first.batch(page), computed)
        assert _same(second.batch(page), computed)
        assert all(answer.spatial.dtype == torch.bfloat16 for answer in computed.targets.values())
    assert len(live.batch(PAGES[1]).pictures) == 2


def test_training_on_cached_targets_is_training_on_live_ones_bit_for_bit(live: LiveTargets, tmp_path: Path) -> None:
    shapes = tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in live.teachers)
    network = named("e_radio_mini_s")
    results = []
    for name, targets in (("live", live), ("cached", CachedTargets(live, tmp_path / "cache"))):
        student = new_student(lambda seed: build(network, seed), shapes, RECIPE, network.digest())
        outcome = Trainer(student, RECIPE, targets, PAGES[:2]).run(3, CheckpointFolder(tmp_path / name))
        results.append((outcome, student.state_dict()))
    (first, weights), (second, others) = results
    assert first == second
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_half_a_file_is_computed_anew(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    cached.batch(PAGES[2])
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    assert _same(cached.batch(PAGES[2]), live.batch(PAGES[2]))


def test_filling_leaves_pages_that_another_process_is_computing(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    assert list(cached.fill(PAGES[:1])) == PAGES[:1]
    handle = try_lock(tmp_path / "filling-train-1.lock")
    assert handle is not None
    assert list(cached.fill(PAGES)) == [page for page in PAGES[1:] if page != Page("train", 1)]
    assert cached.missing(PAGES) == [Page("train", 1)]
    os.close(handle)
    assert list(cached.fill(PAGES)) == [Page("train", 1)]
    assert cached.missing(PAGES) == []


def test_the_cache_s_identity_follows_everything_a_page_depends_on() -> None:
    data = open_data(RECIPE)
    base = cache_identity(RECIPE, data, ["a", "b"])
    assert base == cache_identity(RECIPE.model_copy(update={"steps": 2, "targets": "live"}), data, ["a", "b"])
    assert base != cache_identity(RECIPE, data, ["a", "c"])
    for change in (
        {"seed": 1},
        {"partitions": (Partition(batch=5),)},
        {"crop": Crop(smallest=0.9)},
        {"stored": "float32"},
    ):
        changed = RECIPE.model_copy(update=change)
        assert base != cache_identity(changed, data, ["a", "b"]), change


def test_the_training_identity_leaves_out_the_budget_alone() -> None:
    base = training_identity("n", RECIPE, "d")
    budget = {"steps": 9, "targets": "live"}
    assert base == training_identity("n", RECIPE.model_copy(update=budget), "d")
    assert base != training_identity("m", RECIPE, "d")
    assert base != training_identity("n", RECIPE, "e")
    assert base != training_identity("n", RECIPE.model_copy(update={"seed": 1}), "d")


def test_auto_weighs_the_size_against_the_room_and_says_so(live: LiveTargets) -> None:
    assert choose("auto", 10**6, 10**9)[0]
    cached, why = choose("auto", 10**9, 10**9)
    assert not cached
    assert "1000 MB" in why
    assert choose("cached", 10**9, 10**9)[0]
    assert not choose("live", 1, 10**9)[0]
    batch = live.batch(PAGES[2])
    expected = batch.pictures.nbytes + sum(
        tensor.nbytes for answer in batch.targets.values() for tensor in answer if tensor is not None
    )
    assert page_bytes(batch) == expected


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(live: LiveTargets, tmp_path: Path) -> None:
    # Writing through a link to /dev/full meets the kernel's own refusal.
    (tmp_path / f".train-000000.safetensors.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(EradioError, match="No room left"):
        CachedTargets(live, tmp_path).batch(Page("train", 0))
    assert not list(tmp_path.glob("*.safetensors"))
