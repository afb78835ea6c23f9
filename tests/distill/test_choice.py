"""How targets are come by: chosen from sizes, and said."""

from copy import copy
from pathlib import Path

import pytest
import torch

from eradio.distill.cache import CachedTargets
from eradio.distill.choice import choose, planned_bytes
from eradio.distill.data import open_data
from eradio.distill.pages import Page, pages
from eradio.distill.recipe import Balance, Partition, Recipe
from eradio.distill.targets import LiveTargets
from eradio.errors import EradioError

RECIPE = Recipe(partitions=(Partition(batch=4),), validation=4, steps=12, repeat=3)
ROOM = 10**12


@pytest.fixture(scope="module")
def live() -> LiveTargets:
    torch.set_num_threads(1)
    return LiveTargets(RECIPE, *open_data(RECIPE))


def _chosen(live: LiveTargets, folder: Path, free: int = ROOM, recipe: Recipe = RECIPE, **words: object) -> str:
    live = _by(live, recipe)
    found = choose(live, CachedTargets(live, folder), steps=12, free=free, **words)  # type: ignore[arg-type]
    assert found.kind in found.why
    return found.kind


def _by(live: LiveTargets, recipe: Recipe) -> LiveTargets:
    """The same teachers, asked by another recipe."""
    other = copy(live)
    other.recipe = recipe
    return other


def _asking(kind: str, **more: object) -> Recipe:
    return RECIPE.model_copy(update={"targets": kind, **more})


def test_auto_caches_what_comes_again_where_there_is_room(live: LiveTargets, tmp_path: Path) -> None:
    assert _chosen(live, tmp_path) == "cached"
    assert _chosen(live, tmp_path, free=1000) == "live"
    assert _chosen(live, tmp_path, free=1000, students=3, together=True) == "shared"
    endless = _asking("auto", repeat=None)
    assert _chosen(live, tmp_path, recipe=endless) == "live"
    assert _chosen(live, tmp_path, recipe=endless, students=3, together=True) == "shared"
    assert _chosen(live, tmp_path, recipe=endless, students=3) == "cached"
    assert _chosen(live, tmp_path, recipe=endless, given=True) == "cached"


def test_what_the_recipe_asks_for_is_done_or_refused(live: LiveTargets, tmp_path: Path) -> None:
    assert _chosen(live, tmp_path, recipe=_asking("live")) == "live"
    assert _chosen(live, tmp_path, recipe=_asking("shared"), students=2, together=True) == "shared"
    assert _chosen(live, tmp_path, recipe=_asking("cached")) == "cached"
    with pytest.raises(EradioError, match="no room for the cache"):
        _chosen(live, tmp_path, free=1000, recipe=_asking("cached"))
    with pytest.raises(EradioError, match="taught together"):
        _chosen(live, tmp_path, recipe=_asking("shared"))


def test_much_is_not_written_before_somebody_agrees(
    live: LiveTargets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    assert _chosen(live, tmp_path, agree=refuse) == "cached"
    assert asked == []
    monkeypatch.setattr("eradio.distill.choice._WORTH_ASKING", 1000)
    assert _chosen(live, tmp_path, agree=refuse) == "live"
    assert "MB of teacher targets to be written" in asked[0]
    with pytest.raises(EradioError, match="Nothing was written"):
        _chosen(live, tmp_path, recipe=_asking("cached"), agree=refuse)


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"partitions": (Partition(batch=4, resolution=(32, 64)),), "repeat": None})
    live = LiveTargets(recipe, *open_data(recipe))
    wanted = pages(recipe, range(6), 4)
    cached = CachedTargets(live, tmp_path)
    planned = planned_bytes(live, cached.lacking(wanted))
    list(cached.fill(wanted))
    written = sum(path.stat().st_size for path in tmp_path.glob("*/*.safetensors"))
    assert planned <= written < 1.1 * planned
    assert cached.missing(wanted) == []
    sam = next(iter(tmp_path.glob("*/entry.json")))
    for file in sam.parent.glob("*.safetensors"):
        file.unlink()
    again = planned_bytes(live, cached.lacking(wanted))
    list(cached.fill(wanted))
    written = sum(path.stat().st_size for path in sam.parent.glob("*.safetensors"))
    assert again <= written < 1.1 * again
    assert "0 MB" in choose(_by(live, _asking("cached")), cached, steps=6, free=ROOM).why


def test_what_integers_lose_is_measured_and_said(tmp_path: Path) -> None:
    balance = Balance(summary="phi-s", spatial="phi-s", pictures=256)
    recipe = _asking("cached", stored="int8", balance=balance)
    live = LiveTargets(recipe, *open_data(recipe))
    live = live.balanced(live.measured_scales())
    why = choose(live, CachedTargets(live, tmp_path), steps=12, free=ROOM).why
    assert "Stored as int8, answers are off by clip/summary" in why
    batch = live.batch(Page("train", 0))
    exact = live.exact(Page("train", 0))
    for name, answer in batch.floats().items():
        assert batch.targets[name].spatial.dtype == torch.int8
        off = (answer.spatial - exact[name].spatial).abs()
        inside = exact[name].spatial.abs() < 6
        assert off[inside].max() < 0.03
        assert inside.float().mean() > 0.999
