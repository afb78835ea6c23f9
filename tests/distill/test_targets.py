"""Targets live and cached: the same bits, whoever computes them and however often."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from eradio.distill.cache import CachedTargets, entry_facts
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.data import open_data
from eradio.distill.eviction import entries, evict
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, pages, training_pages
from eradio.distill.recipe import Balance, Crop, FolderData, Partition, Recipe, training_identity
from eradio.distill.student import new_student
from eradio.distill.targets import Batch, LiveTargets
from eradio.distill.teachers import TeacherSpec
from eradio.distill.trainer import Trainer
from eradio.errors import EradioError
from eradio.files import temporary_of
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
    last = Page("validation", 1, rows=range(2))
    assert [Page("validation", 0), last, *(Page("train", step) for step in range(3))] == PAGES
    assert pages(RECIPE, range(0), 3) == [Page("validation", 0, rows=range(3))]
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


def test_teachers_that_rest_answer_the_same_when_they_are_asked_again(live: LiveTargets) -> None:
    before = live.batch(Page("train", 0))
    live.rest()
    assert _same(before, live.batch(Page("train", 0)))


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
    for file in tmp_path.glob("*/*.safetensors"):
        file.write_bytes(file.read_bytes()[:-100])
    assert _same(cached.batch(PAGES[2]), live.batch(PAGES[2]))


def test_a_flipped_bit_is_found_and_computed_anew(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    cached.batch(PAGES[2])
    files = list(tmp_path.glob("*/*.safetensors"))
    assert len(files) == 4
    for file in files:
        content = bytearray(file.read_bytes())
        content[-50] ^= 1
        file.write_bytes(content)
    assert _same(cached.batch(PAGES[2]), live.batch(PAGES[2]))


def test_filling_leaves_pages_that_another_process_is_computing_for_the_end(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    assert list(cached.fill(PAGES[:1])) == PAGES[:1]
    (lock,) = (path.with_name("filling-train-1.lock") for path in tmp_path.glob("*/filling-validation-0.lock"))
    handle = try_lock(lock)
    assert handle is not None
    filling = cached.fill(PAGES)
    free = [page for page in PAGES[1:] if page != Page("train", 1)]
    assert [next(filling) for _ in free] == free
    assert cached.missing(PAGES) == [Page("train", 1)]
    os.close(handle)
    assert list(filling) == [Page("train", 1)]
    assert cached.missing(PAGES) == []


def _facts(recipe: Recipe, **words: object) -> dict[str, dict[str, object]]:
    return entry_facts(LiveTargets(recipe, *open_data(recipe), **words))  # type: ignore[arg-type]


def _but(which: str, **changes: object) -> tuple[TeacherSpec, ...]:
    return tuple(one.model_copy(update=changes) if one.name == which else one for one in RECIPE.teachers)


def test_an_entry_s_identity_follows_everything_its_pages_depend_on(tmp_path: Path) -> None:
    base = _facts(RECIPE)
    assert set(base) == {"pictures", "clip", "dino", "sam"}
    anyhow = {"steps": 2, "targets": "live", "summary": None}
    assert base == _facts(RECIPE.model_copy(update=anyhow))
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    for change in (
        {"seed": 1},
        {"partitions": (Partition(batch=5),)},
        {"crop": Crop(smallest=0.9)},
        {"shift": 1},
        {"data": FolderData(path=tmp_path)},
    ):
        changed = _facts(RECIPE.model_copy(update=change))
        assert all(base[name] != changed[name] for name in base), change
    rounded = _facts(RECIPE.model_copy(update={"stored": "float32"}))
    elsewhere = _facts(RECIPE, device="meta")
    for changed in (rounded, elsewhere, _facts(RECIPE, compiled=True)):
        assert base["pictures"] == changed["pictures"]
        assert all(base[name] != changed[name] for name in ("clip", "dino", "sam"))


def test_an_entry_s_identity_follows_its_teacher_and_no_other(tmp_path: Path) -> None:
    base = _facts(RECIPE)
    other = tmp_path / "dino"
    shutil.copytree(RECIPE.teachers[1].path(), other)
    weights = load_file(other / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, other / "model.safetensors")
    for change in ({"weights": str(other)}, {"view": "pictures"}):
        changed = _facts(RECIPE.model_copy(update={"teachers": _but("dino", **change)}))
        assert changed["dino"] != base["dino"], change
        assert {key: changed[key] for key in ("pictures", "clip", "sam")} == {
            key: base[key] for key in ("pictures", "clip", "sam")
        }
    assert _facts(RECIPE.model_copy(update={"teachers": _but("dino", summary_weight=2.0, licence="mine")})) == base
    shifted = RECIPE.model_copy(update={"shift": 1})
    turned = shifted.model_copy(update={"teachers": RECIPE.teachers[::-1]})
    assert _facts(shifted)["clip"] != _facts(turned)["clip"]
    assert _facts(shifted)["dino"] == _facts(turned)["dino"]


def test_an_entry_s_identity_follows_the_scales_that_its_answers_were_balanced_by() -> None:
    recipe = RECIPE.model_copy(update={"balance": Balance(summary="phi-s", spatial="phi-s", pictures=16)})
    live = LiveTargets(recipe, *open_data(recipe))
    scales = live.measured_scales()
    moved = replace(scales["dino"].spatial, mean=scales["dino"].spatial.mean + 1e-9)
    others = {**scales, "dino": replace(scales["dino"], spatial=moved)}
    first, second = (entry_facts(live.balanced(one)) for one in (scales, others))
    assert first["dino"] != second["dino"]
    assert first["clip"] == second["clip"]
    assert first["clip"] != entry_facts(live)["clip"]


def test_recipes_with_other_teachers_share_what_they_have_in_common(live: LiveTargets, tmp_path: Path) -> None:
    CachedTargets(live, tmp_path).batch(PAGES[2])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.safetensors")}
    assert len(before) == 4
    fewer = RECIPE.model_copy(update={"teachers": RECIPE.teachers[1:]})
    other = LiveTargets(fewer, *open_data(fewer))
    assert _same(CachedTargets(other, tmp_path).batch(PAGES[2]), other.batch(PAGES[2]))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.safetensors")} == before


def test_the_training_identity_leaves_out_the_budget_alone() -> None:
    base = training_identity("n", RECIPE, "d")
    budget = {"steps": 9, "targets": "live"}
    assert base == training_identity("n", RECIPE.model_copy(update=budget), "d")
    assert base != training_identity("m", RECIPE, "d")
    assert base != training_identity("n", RECIPE, "e")
    assert base != training_identity("n", RECIPE.model_copy(update={"seed": 1}), "d")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    cached.batch(Page("train", 0))
    # Writing through a link to /dev/full meets the kernel's own refusal.
    for folder in tmp_path.iterdir():
        temporary_of(folder / "train-000001.safetensors", os.getpid()).symlink_to("/dev/full")
    with pytest.raises(EradioError, match="No room left"):
        cached.batch(Page("train", 1))
    assert not list(tmp_path.glob("*/train-000001.safetensors"))


def test_what_was_not_used_lately_makes_room(live: LiveTargets, tmp_path: Path) -> None:
    cached = CachedTargets(live, tmp_path)
    cached.batch(PAGES[2])
    held = entries(tmp_path)
    assert [one.used for one in held] == sorted((one.used for one in held), reverse=True)
    assert sorted(one.what for one in held) == [
        "answers of a clip",
        "answers of a dino",
        "answers of a sam",
        "pictures",
    ]
    oldest = held[1].folder
    os.utime(oldest / "entry.json", (0, 0))
    total = sum(one.size for one in held)
    assert [one.folder for one in evict(tmp_path, total - 1)] == [oldest]
    assert evict(tmp_path, total) == []
    assert _same(cached.batch(PAGES[2]), live.batch(PAGES[2]))
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 4
    assert len(entries(tmp_path)) == 4
    ascending = sorted(held, key=lambda one: one.size)
    for number, one in enumerate(ascending):
        os.utime(one.folder / "entry.json", (1000 + number, 1000 + number))
    assert [one.folder for one in evict(tmp_path, ascending[-1].size)] == [one.folder for one in ascending[:-1]]
    assert [one.folder for one in entries(tmp_path)] == [ascending[-1].folder]
    with pytest.raises(EradioError, match="holds no cached targets"):
        entries(tmp_path / "elsewhere")
