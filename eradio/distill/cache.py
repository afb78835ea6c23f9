"""An exact cache of teacher targets: files for each page of the schedule, each under a digest of all it depends on.

Pictures and every teacher's answers are entries of their own, so that runs with other teachers, losses or students find
what they have in common with earlier ones.
"""

import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from eradio.description import digest_of
from eradio.distill.pages import Page
from eradio.distill.recipe import CODE_EPOCH
from eradio.distill.scales import Scales
from eradio.distill.squares import shifts_at
from eradio.distill.targets import Batch, LiveTargets
from eradio.features import Features
from eradio.files import write_json
from eradio.locks import locked, try_lock
from eradio.tensors import write_tensors

# What renders or decodes the pictures and what runs the teachers.
_LIBRARIES = ("pillow", "numpy", "torch", "timm", "open_clip_torch", "segment_anything")

_PATIENCE_SECONDS = 300.0
"""Computing a page takes well under a minute; whoever holds its lock for longer is stopped or stuck."""

_SAY_SECONDS = 600.0

PICTURES = "pictures"
"""Stands among the teachers' names."""

_CHECKSUM = "crc32"
ENTRY = "entry.json"
"""What an entry is, in words; when it was last opened is this file's time."""


class CachedTargets:
    """Keeps every page it is asked for; several processes may fill and read it at once, of one run or of many.

    Args:
        live: computes what is missing.
        folder: where the entries are.
    """

    def __init__(self, live: LiveTargets, folder: Path) -> None:
        self._live = live
        self._folder = folder
        self._facts: dict[Path, dict[str, object]] = {}
        self._said = -_SAY_SECONDS

    @property
    def scales(self) -> Scales:
        """How the answers were balanced before they were stored."""
        return self._live.scales

    def batch(self, page: Page) -> Batch:
        """The batch on one page, from its files, or computed and kept where they are missing."""
        whole = self._whole(page._replace(rows=None))
        return whole if page.rows is None else whole.cut(slice(page.rows.start, page.rows.stop))

    def fill(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Compute the missing pages, those that another process may be computing last, and yield each as it is done."""
        later = []
        for page in pages:
            if self._complete(page):
                continue
            handle = try_lock(self._lock(page))
            if handle is None:
                later.append(page)
                continue
            try:
                if self._completed(page):
                    yield page
            finally:
                os.close(handle)
        for page in later:
            with locked(self._lock(page), timeout=_PATIENCE_SECONDS):
                new = self._completed(page)
            if new:
                yield page

    def missing(self, pages: Iterable[Page]) -> list[Page]:
        """The pages of which some file is not there yet."""
        return [page for page in pages if not self._complete(page)]

    def lacking(self, pages: Iterable[Page]) -> Iterator[tuple[Page, str]]:
        """Of the pages what is not there yet: `PICTURES`, or a teacher's name."""
        for page in pages:
            yield from ((page, name) for name, path in self._paths(page).items() if not path.exists())

    @cached_property
    def _entries(self) -> dict[str, Path]:
        """The folder of the pictures and of each teacher's answers."""
        known = {name: (self._folder / digest_of(facts), facts) for name, facts in entry_facts(self._live).items()}
        self._facts = dict(known.values())
        return {name: folder for name, (folder, _) in known.items()}

    def _use(self) -> None:
        """Say now and then that the entries are in use, and what they are, should they have been removed meanwhile."""
        if time.monotonic() - self._said < _SAY_SECONDS and all((one / ENTRY).exists() for one in self._facts):
            return
        for folder, facts in self._facts.items():
            if not (folder / ENTRY).exists():
                write_json(folder / ENTRY, facts)
            os.utime(folder / ENTRY)
        self._said = time.monotonic()

    def _whole(self, page: Page) -> Batch:
        found = self._read(page)
        self._use()
        if found is None:
            with locked(self._lock(page), timeout=_PATIENCE_SECONDS):
                found = self._read(page) or self._compute(page)
        return found

    def _compute(self, page: Page) -> Batch:
        """Ask the teachers whose answers are missing, and write those, and the pictures if they are."""
        self._use()
        known = {name: _read(path) for name, path in self._paths(page).items()}
        batch = self._live.answered(page, [name for name, one in known.items() if name != PICTURES and one is None])
        if known[PICTURES] is None:
            told = {"unreadable": json.dumps(batch.unreadable)}
            _write(self._paths(page)[PICTURES], {PICTURES: batch.pictures}, told)
        for name, answer in batch.targets.items():
            _write(self._paths(page)[name], _named(answer), {})
        return self._read(page) or self._live.batch(page)

    def _read(self, page: Page) -> Batch | None:
        found = {}
        for name, path in self._paths(page).items():
            one = _read(path)
            if one is None:
                return None
            found[name] = one
        (pictures, told), names = found.pop(PICTURES), tuple(found)
        targets = {name: Features(one.get("summary"), one["spatial"]) for name, (one, _) in found.items()}
        shifts = shifts_at(self._live.recipe, page, names)
        return Batch(pictures[PICTURES], targets, tuple(json.loads(told["unreadable"])), shifts)

    def _completed(self, page: Page) -> bool:
        """Compute what is missing, if something is; whether it was. The page's lock is held."""
        missing = not self._complete(page)
        if missing:
            self._compute(page)
        return missing

    def _complete(self, page: Page) -> bool:
        return all(path.exists() for path in self._paths(page).values())

    def _paths(self, page: Page) -> dict[str, Path]:
        """The files of a page: of its pictures, and of each of its teachers in the recipe's order."""
        wanted = self._live.recipe.teachers_of(page.partition)
        names = [PICTURES, *(spec.name for spec in self._live.recipe.teachers if spec.name in wanted)]
        file = f"{page.part}-{page.number:06d}{_suffix(page)}.safetensors"
        return {name: self._entries[name] / file for name in names}

    def _lock(self, page: Page) -> Path:
        # One lock for a few pages keeps the folder small; it only ever delays a page of the same residue.
        return self._entries[PICTURES] / f"filling-{page.part}-{page.number % 32}{_suffix(page)}.lock"


def entry_facts(live: LiveTargets) -> dict[str, dict[str, object]]:
    """All that the bytes of each entry depend on: the pictures' and, by name, each teacher's."""
    recipe = live.recipe
    common = {
        "schedule": recipe.schedule_identity(),
        "code_epoch": CODE_EPOCH,
        "data": [one.digest for one in live.data],
        "versions": {name: version(name) for name in _LIBRARIES},
    }
    return {
        PICTURES: {"what": PICTURES, **common},
        **{
            teacher.name: {
                "what": f"answers of a {spec.kind}",
                "teacher": teacher.digest,
                "view": spec.view,
                "place": place if recipe.shift else None,
                "device": live.device,
                "compiled": live.compiled,
                "scale": live.scales[spec.name].digest() if spec.name in live.scales else None,
                "stored": recipe.stored,
                **common,
            }
            for place, (spec, teacher) in enumerate(zip(recipe.teachers, live.teachers, strict=True))
        },
    }


def _suffix(page: Page) -> str:
    return f"-partition-{page.partition}" if page.partition else ""


def _named(answer: Features) -> dict[str, Tensor]:
    return {name: part for name, part in answer._asdict().items() if part is not None}


def _write(path: Path, tensors: Mapping[str, Tensor], told: dict[str, str]) -> None:
    here = {name: tensor.cpu() for name, tensor in tensors.items()}
    write_tensors(path, here, {**told, _CHECKSUM: str(_checksum(here))})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """What a file holds, through memory mapped to it; None where there is none, or a broken disk spoiled it."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told = file.metadata()
    except (FileNotFoundError, SafetensorError):
        return None
    return (tensors, told) if told.get(_CHECKSUM) == str(_checksum(tensors)) else None


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    found = 0
    for _, tensor in sorted(tensors.items()):
        found = zlib.crc32(tensor.contiguous().flatten().view(torch.uint8).numpy().data, found)
    return found
