"""How the teachers' answers are come by, chosen once from sizes, and why in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eradio.distill.cache import PICTURES, CachedTargets
from eradio.distill.pages import Page, pages
from eradio.distill.recipe import Recipe
from eradio.distill.stored import rounding_errors, told
from eradio.distill.targets import LiveTargets
from eradio.errors import EradioError

_WORTH_ASKING = 2e9
"""Bytes that nobody wants to find on the disk without having been asked."""

Agree = Callable[[str], bool]


@dataclass(frozen=True)
class Choice:
    """Live: every teacher is asked for every student's batch. Shared: once for all students that are taught in
    lock-step. Cached: once for all that ever want it."""

    kind: Literal["live", "shared", "cached"]
    why: str


def agreed(question: str) -> bool:
    """What is done where nobody can be asked."""
    return True


def choose(
    live: LiveTargets,
    cached: CachedTargets,
    *,
    steps: int,
    free: int,
    students: int = 1,
    together: bool = False,
    given: bool = False,
    agree: Agree = agreed,
) -> Choice:
    """Choose, and say why.

    `auto` caches what is asked for more than once if a quarter of the free space is enough for it, and shares what it
    does not cache among students that are taught together.

    Args:
        live: whose answers to a few pages are measured, by the recipe that asks for them.
        cached: what is there already costs nothing.
        steps: of the longest training.
        free: bytes of the disk.
        students: how many are going to be taught.
        together: whether they are in lock-step.
        given: whether the cache's folder was named, to be shared with other runs.
        agree: asked before much is written.

    Raises:
        EradioError: what the recipe asks for is not possible, or was not agreed to.
    """
    recipe = live.recipe
    other: Literal["live", "shared"] = "shared" if together else "live"
    if recipe.targets == "shared" and not together:
        raise EradioError("Targets are shared by students that are taught together; give several, or 'targets: auto'.")
    if recipe.targets in ("live", "shared"):
        return Choice(other, f"{recipe.targets} targets, as the recipe asks")
    once = recipe.repeat is None or recipe.repeat >= steps
    if recipe.targets == "auto" and once and not given and (students == 1 or together):
        whom = "all students at once" if together else "the student"
        return Choice(other, f"{other} targets: every batch is shown to {whom}, and once")
    every = pages(recipe, range(steps), len(live.data[1]))
    needed = planned_bytes(live, cached.lacking(every))
    size = f"{needed / 1e6:.0f} MB of teacher targets to be written, {free / 1e9:.1f} GB free"
    if recipe.stored == "int8":
        size += f". {told(recipe, _errors(recipe, live, every))}"
    if needed > free:
        if recipe.targets == "cached":
            raise EradioError(f"There is no room for the cache: {size}. Free some, or give 'targets: live'.")
        return Choice(other, f"{other} targets: there would be {size}")
    if recipe.targets == "auto" and needed > free / 4:
        return Choice(other, f"{other} targets: {size}, and a cache may take a quarter of that")
    if needed > _WORTH_ASKING and not agree(f"{size}. Write them?"):
        if recipe.targets == "cached":
            raise EradioError("Nothing was written. Give 'targets: live' in the recipe to do without a cache.")
        return Choice(other, f"{other} targets, since a cache was not agreed to")
    return Choice("cached", f"cached targets: {size}")


def planned_bytes(live: LiveTargets, wanted: Iterable[tuple[Page, str]]) -> int:
    """Size in bytes of what is yet to be stored, judged by a few pictures of each partition and resolution.

    Args:
        live: whose answers are measured.
        wanted: pages with the teacher whose answers are missing, or with `PICTURES`.
    """
    sizes: dict[tuple[int, int], dict[str, float]] = {}
    total = 0.0
    for page, name in wanted:
        kind = page.partition, live.ahead.side(page)
        if kind not in sizes:
            sizes[kind] = _picture_bytes(live, page)
        total += sizes[kind][name] * live.recipe.partitions[page.partition].batch
    return round(total)


def _picture_bytes(live: LiveTargets, page: Page) -> dict[str, float]:
    """Bytes of one picture of a page, and of each teacher's answer to it."""
    given = page.rows or range(live.recipe.partitions[page.partition].batch)
    mosaics = any(spec.view == "mosaic" for spec in live.recipe.teachers)
    batch = live.batch(page._replace(rows=given[: live.portion(page) if mosaics else 2]))
    count = len(batch.pictures)
    answers = {
        name: sum(part.nbytes for part in answer if part is not None) / count for name, answer in batch.targets.items()
    }
    return {PICTURES: batch.pictures.nbytes / count, **answers}


def _errors(recipe: Recipe, live: LiveTargets, every: Sequence[Page]) -> Any:
    """Of one training page of each partition."""
    first = {page.partition: page for page in reversed(every) if page.part == "train"}
    return {name: error for page in first.values() for name, error in rounding_errors(recipe, live.exact(page)).items()}
