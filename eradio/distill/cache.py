"""An exact cache of teacher targets: one file for each page of the schedule, under a digest of all it depends on."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from eradio.description import digest_of
from eradio.distill.data import Dataset
from eradio.distill.pages import Page, training_pages
from eradio.distill.recipe import CODE_EPOCH, Recipe
from eradio.distill.scales import Scales
from eradio.distill.targets import Batch, LiveTargets
from eradio.features import Features
from eradio.locks import locked, try_lock
from eradio.tensors import write_tensors

# What renders or decodes the pictures and what runs the teachers.
_LIBRARIES = ("pillow", "numpy", "torch", "timm", "open_clip_torch", "segment_anything")


_PATIENCE_SECONDS = 300.0
"""Computing a page takes well under a minute; whoever holds its lock for longer is stopped or stuck."""


class CachedTargets:
    """Keeps every page it is asked for as one file; several processes may fill and read it at once."""

    def __init__(self, live: LiveTargets, folder: Path) -> None:
        self._live = live
        self._folder = folder

    @property
    def scales(self) -> Scales:
        """How the answers were balanced before they were stored."""
        return self._live.scales

    def batch(self, page: Page) -> Batch:
        """The batch on one page, from its file, or computed and kept if there is none."""
        whole = self._whole(page._replace(rows=None))
        return whole if page.rows is None else whole.cut(slice(page.rows.start, page.rows.stop))

    def fill(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Compute the missing pages that no other process is computing, and yield each as it is done."""
        for page in pages:
            handle = None if self._path(page).exists() else try_lock(self._lock(page))
            if handle is None:
                continue
            try:
                if not self._path(page).exists():
                    self._compute(page, self._path(page))
                    yield page
            finally:
                os.close(handle)

    def missing(self, pages: Iterable[Page]) -> list[Page]:
        """The pages that have no file yet."""
        return [page for page in pages if not self._path(page).exists()]

    def _whole(self, page: Page) -> Batch:
        path = self._path(page)
        stored = _read(path)
        if stored is not None:
            return stored
        with locked(self._lock(page), timeout=_PATIENCE_SECONDS):
            return _read(path) or self._compute(page, path)

    def _compute(self, page: Page, path: Path) -> Batch:
        batch = self._live.batch(page)
        _write(path, batch)
        return batch

    def _path(self, page: Page) -> Path:
        return self._folder / f"{page.part}-{page.number:06d}{_suffix(page)}.safetensors"

    def _lock(self, page: Page) -> Path:
        # One lock for a few pages keeps the folder small; it only ever delays a page of the same residue.
        return self._folder / f"filling-{page.part}-{page.number % 32}{_suffix(page)}.lock"


def cache_identity(recipe: Recipe, data: Sequence[Dataset], teachers: Sequence[str]) -> str:
    """Digest of all that a page's bytes depend on: schedule, data, teachers' digests, decoder and library."""
    parts = {
        "sample": recipe.sample_identity(),
        "code_epoch": CODE_EPOCH,
        "data": [one.digest for one in data],
        "teachers": list(teachers),
    }
    return digest_of({**parts, "versions": {name: version(name) for name in _LIBRARIES}})


def page_bytes(batch: Batch) -> int:
    """Size in bytes of a batch as it is stored."""
    return sum(tensor.nbytes for tensor in _flat(batch).values())


def planned_bytes(recipe: Recipe, live: LiveTargets, every: Iterable[Page]) -> int:
    """Size in bytes of pages yet to be stored, judged by one of each partition."""
    sizes = [page_bytes(live.batch(page)) for page in training_pages(recipe, 0)]
    return sum(sizes[page.partition] for page in every)


def choose(mode: str, needed: int, free: int) -> tuple[bool, str]:
    """Whether to cache, and the sentence that says why: `auto` caches if a quarter of the free space is enough."""
    size = f"{needed / 1e6:.0f} MB of teacher targets"
    if mode != "auto":
        return mode == "cached", f"{mode} targets, as the recipe asks ({size})"
    if needed <= free / 4:
        return True, f"cached targets: {size}, {free / 1e9:.0f} GB free"
    return False, f"live targets: {size} would take more than a quarter of the {free / 1e9:.1f} GB free"


def _suffix(page: Page) -> str:
    return f"-partition-{page.partition}" if page.partition else ""


def _flat(batch: Batch) -> dict[str, Tensor]:
    flat = {"pictures": batch.pictures}
    for name, answer in batch.targets.items():
        flat[f"{name}/spatial"] = answer.spatial
        if answer.summary is not None:
            flat[f"{name}/summary"] = answer.summary
    return flat


def _write(path: Path, batch: Batch) -> None:
    names = {"teachers": json.dumps(list(batch.targets)), "unreadable": json.dumps(batch.unreadable)}
    write_tensors(path, {name: tensor.cpu() for name, tensor in _flat(batch).items()}, names)


def _read(path: Path) -> Batch | None:
    try:
        with safe_open(path, framework="pt") as file:
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            names = file.metadata()
    except FileNotFoundError:
        return None
    except SafetensorError:
        # Half a file can only come from a broken disk, since files appear by renaming: compute it anew.
        return None
    targets = {
        name: Features(flat.get(f"{name}/summary"), flat[f"{name}/spatial"]) for name in json.loads(names["teachers"])
    }
    return Batch(flat["pictures"], targets, tuple(json.loads(names["unreadable"])))
