"""One training in a folder of its own, from a network and a recipe to a student that others can load."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eradio.distill.cache import CachedTargets, cache_identity, choose, planned_bytes
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.data import Dataset, open_data
from eradio.distill.finished import WEIGHTS, take_over, write_finished
from eradio.distill.folder import FolderPictures
from eradio.distill.grouped_norm import has_norms
from eradio.distill.heads import TeacherShape
from eradio.distill.journal import Journal
from eradio.distill.pages import Page, pages, training_pages, validation_pages
from eradio.distill.processes import joined, wait_for_all
from eradio.distill.recipe import Recipe, training_identity
from eradio.distill.scales import read_scales, write_scales
from eradio.distill.setting import Setting
from eradio.distill.stopping import stopping
from eradio.distill.student import Student, new_student
from eradio.distill.targets import LiveTargets, Targets
from eradio.distill.trainer import DivergedError, Outcome, Trainer
from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.locks import try_lock
from eradio.manifest import environment
from eradio.search_space import Architecture, Network, build, choose_windows

_SAVE_SECONDS = 300.0

_LINES = 2000
"""Of losses.csv, about."""


def distil(
    network: Network,
    recipe: Recipe,
    folder: Path,
    *,
    setting: Setting,
    workers: int = 0,
    start: Path | None = None,
    console: Console,
) -> Outcome:
    """Teach one network to the end of a recipe; the same call goes on where an earlier one stopped.

    Args:
        network: the student's.
        recipe: all that is computed.
        folder: where everything goes.
        setting: where and in which pieces it is computed.
        workers: processes that make pictures ahead.
        start: folder of a student to begin with.
        console: for progress, in the first process.

    Raises:
        EradioError: something is missing or does not fit, the training diverged, or the folder is of another one.
        StoppedError: a signal asked for it; what is done is kept.
    """
    with joined(setting) as here, stopping() as stop, _held(folder, here.rank == 0):
        own = console if here.rank == 0 else Console(quiet=True)
        side = recipe.partitions[0].resolution[0]
        if isinstance(network, Architecture):
            network = choose_windows(network, (side, side), "fit")
        run = _Run(network, recipe, folder, here, workers, start, own)
        run.begin()
        targets = run.targets()
        student = run.student(targets)
        outcome = run.train(student, targets, stop)
        if run.first:
            student.cpu().heads.restore(targets.scales)
            write_finished(folder, student, network, recipe, outcome, {**run.facts, "environment": environment()})
    return outcome


@dataclass(frozen=True)
class _Run:
    network: Network
    recipe: Recipe
    folder: Path
    setting: Setting
    workers: int
    start: Path | None
    console: Console

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.setting.rank == 0

    @cached_property
    def data(self) -> tuple[Dataset, Dataset]:
        """Training and validation pictures, every file looked at."""
        both = open_data(self.recipe)
        for one in both:
            if isinstance(one, FolderPictures):
                one.check()
        return both

    @cached_property
    def live(self) -> LiveTargets:
        """The teachers, as they answer."""
        return LiveTargets(self.recipe, *self.data, device=self.setting.device)

    @cached_property
    def kept(self) -> CheckpointFolder:
        """The run's checkpoints."""
        return CheckpointFolder(self.folder / "checkpoints", _SAVE_SECONDS, writes=self.first)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What must not change while a run is continued."""
        return {
            "network": self.network.model_dump(mode="json"),
            "recipe": self.recipe.identity(),
            "data": [one.digest for one in self.data],
            "teachers": {teacher.name: teacher.digest for teacher in self.live.teachers},
            "start": None if self.start is None else _digest(self.start / WEIGHTS),
        }

    def begin(self) -> None:
        """Write down what the run is, or see that it is the same, once it is known that it can be computed here."""
        self.setting.shares(self.recipe, norms=has_norms(build(self.network)))
        path, facts = self.folder / "run.json", self.facts
        if self.first:
            before = read_json(path) if path.exists() else facts
            changed = sorted(name for name in facts if before.get(name) != facts[name])
            if changed:
                raise EradioError(
                    f"{self.folder} holds another training (different: {', '.join(changed)}). "
                    "Give another folder with --out, or what it was begun with."
                )
            write_json(path, facts)
        wait_for_all()

    def targets(self) -> Targets:
        """Where batches come from: balanced, and live or cached, as the first call settled."""
        live = self.live
        if self.recipe.needs_scales():
            path = self.folder / "scales.safetensors"
            if self.first and not path.exists():
                self.console.print(f"Measuring the teachers' scales on {self.recipe.balance.pictures} pictures.")
                write_scales(path, live.measured_scales())
            wait_for_all()
            live = live.balanced(read_scales(path))
        path = self.folder / "targets.json"
        if self.first and not path.exists():
            cached, why = self._choice(live)
            write_json(path, {"cached": cached, "why": why})
        wait_for_all()
        choice = read_json(path)
        self.console.print(f"{choice['why']}.", markup=False)
        if not choice["cached"]:
            return live
        digests = [f"{teacher.digest} on {self.setting.device}" for teacher in live.teachers]
        identity = cache_identity(self.recipe, self.data, digests)
        return CachedTargets(live, self.folder / "targets" / identity)

    def student(self, targets: Targets) -> Student:
        """The student before its first step."""
        shapes = tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in self.live.teachers)
        identity = training_identity(self.network.digest(), self.recipe, self.data[0].digest)
        student = new_student(lambda seed: build(self.network, seed), shapes, self.recipe, identity)
        if self.start is not None:
            new = take_over(student, self.start, targets.scales)
            told = f"Begins with the student in {self.start}; new heads: {', '.join(new) or 'none'}."
            self.console.print(told, markup=False)
        return student

    def train(self, student: Student, targets: Targets, stop: Callable[[], int]) -> Outcome:
        """Teach it to the end."""
        recipe, steps = self.recipe, self.recipe.steps
        trainer = Trainer(student, recipe, targets, validation_pages(recipe, len(self.data[1])), self.setting)
        begun = trainer.begin(steps, self.kept)
        every = max(1, steps // _LINES)
        journal = Journal(self.folder, list(recipe.loss_weights()), every, begun) if self.first else None
        with _progress(self.console) as progress, self.live.ahead.of(self._sheets(begun), self.workers):
            task = progress.add_task("teaching", total=steps, completed=begun, loss="")

            def watch(step: int, loss: float) -> None:
                progress.update(task, completed=step, loss=f"loss {loss:.4f}")
                if journal is not None:
                    journal.tell(step, loss, trainer.losses)

            try:
                return trainer.run(steps, self.kept, watch=watch, stop=lambda: bool(stop()))
            except DivergedError as error:
                raise EradioError(f"The training diverged: {error}. Lower the learning rate.") from None
            finally:
                if journal is not None:
                    journal.close()

    def _sheets(self, begun: int) -> Iterator[Page]:
        """The pages of training that this process is going to ask for."""
        shares = self.setting.shares(self.recipe, norms=False)
        for step in range(begun, self.recipe.steps):
            by_partition = training_pages(self.recipe, step)
            for share in shares:
                yield share.of(by_partition[share.partition])

    def _choice(self, live: LiveTargets) -> tuple[bool, str]:
        """Whether targets are cached, and why."""
        recipe = self.recipe
        if recipe.targets == "live":
            return False, "live targets, as the recipe asks"
        if recipe.targets == "auto" and not (recipe.repeat and recipe.repeat < recipe.steps):
            return False, "live targets: every batch is shown once"
        every = pages(recipe, range(recipe.steps), len(self.data[1]))
        return choose(recipe.targets, planned_bytes(recipe, live, every), shutil.disk_usage(self.folder).free)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror}. Give the folder of a run that has ended.") from None


@contextmanager
def _held(folder: Path, first: bool) -> Iterator[None]:
    """The folder is this run's alone; the first process holds it for all."""
    if not first:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = try_lock(folder / "run.lock")
    if handle is None:
        raise EradioError(
            f"Another process trains in {folder}. Wait for it, end it, or give another folder with --out."
        )
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
