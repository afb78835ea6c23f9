"""One training in a folder of its own, from a network and a recipe to a student that others can load."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eradio.distill.cache import CachedTargets
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.choice import Agree, agreed
from eradio.distill.classroom import Classroom
from eradio.distill.courses import Course, taught_together
from eradio.distill.finished import WEIGHTS, take_over, write_finished
from eradio.distill.grouped_norm import has_norms
from eradio.distill.journal import Journal
from eradio.distill.pages import Page, training_pages, validation_pages
from eradio.distill.processes import joined, wait_for_all
from eradio.distill.recipe import Recipe, training_identity
from eradio.distill.setting import Setting
from eradio.distill.squares import check_shift
from eradio.distill.stopping import StoppedError, stopping
from eradio.distill.student import Student, new_student
from eradio.distill.targets import Targets
from eradio.distill.teachers.licence import LICENCES
from eradio.distill.trainer import DivergedError, Outcome, Trainer
from eradio.errors import EradioError, networks_own
from eradio.files import read_json, sweep, write_json
from eradio.locks import try_lock
from eradio.manifest import environment
from eradio.search_space import Architecture, Network, build, choose_windows

_SAVE_SECONDS = 300.0

_LINES = 2000
"""Of losses.csv, about."""


def distil(
    networks: Mapping[Path, Network],
    recipe: Recipe,
    *,
    setting: Setting,
    workers: int = 0,
    start: Path | None = None,
    cache: Path | None = None,
    console: Console,
    agree: Agree = agreed,
) -> dict[Path, Outcome | EradioError]:
    """Teach networks to the end of a recipe; the same call goes on where an earlier one stopped.

    Several are taught in lock-step, so that the teachers are asked once for all of them; each becomes what it had
    become alone.

    Args:
        networks: by the folder where everything of theirs goes.
        recipe: all that is computed.
        setting: where and in which pieces it is computed.
        workers: processes that make pictures ahead.
        start: folder of a student to begin with.
        cache: folder of cached targets, which other runs may share; the first network's own if None.
        console: for progress, in the first process.
        agree: asked before much is written into the cache.

    Returns:
        For each folder what came of it; of several networks some may have failed.

    Raises:
        EradioError: something is missing or does not fit, the only training diverged, or a folder is of another one.
        StoppedError: a signal asked for it; what is done is kept.
    """
    with joined(setting) as here, stopping() as stop, ExitStack() as held:
        if len(networks) > 1 and here.processes > 1:
            raise EradioError("Several processes teach one network at a time; give one, or leave torchrun out.")
        for folder in networks:
            held.enter_context(_held(folder, here.rank == 0))
        own = console if here.rank == 0 else Console(quiet=True)
        room = Classroom(recipe, here, own, cache, agree)
        runs = {folder: _Run(_fitted(network, recipe), folder, room, start) for folder, network in networks.items()}
        for run in runs.values():
            run.begin()
        targets = room.targets(list(runs))
        with _progress(own) as progress:
            lessons = {folder: _Lessons(run, targets, progress) for folder, run in runs.items()}
            begun = min(one.begun for one in lessons.values())
            if isinstance(targets, CachedTargets) and here.processes > 1:
                room.fill(targets, begun, workers, progress)
            with room.live.ahead.of(_sheets(room, begun, targets), workers), stop.noting():
                return _taught(lessons, targets, stop)


def _taught(
    lessons: "Mapping[Path, _Lessons]", targets: Targets, stop: Callable[[], int]
) -> dict[Path, Outcome | EradioError]:
    """Take all courses along, and write down what came of each as soon as it has ended."""
    ends: dict[Path, Outcome | EradioError] = {}
    stopped = []
    courses = {folder: one.course(stop) for folder, one in lessons.items()}
    for folder, end in taught_together(courses, targets):
        lessons[folder].close()
        if isinstance(end, Outcome):
            lessons[folder].finish(end, targets)
            ends[folder] = end
        elif isinstance(end, StoppedError):
            stopped.append(end)
        elif isinstance(end, DivergedError):
            ends[folder] = EradioError(f"The training diverged: {end}. Lower the learning rate.")
        elif networks_own(end):
            ends[folder] = end if isinstance(end, EradioError) else _failure(end)
        else:
            raise end
        if len(lessons) == 1 and isinstance(failed := ends.get(folder), EradioError):
            raise failed
    if stopped:
        raise min(stopped, key=lambda one: one.step)
    return ends


def _failure(error: Exception) -> EradioError:
    """What a network raised, as a sentence."""
    why = " ".join(str(error).split()).rstrip(".")[:300]
    return EradioError(f"This network cannot be taught by this recipe: {type(error).__name__}: {why}.")


@dataclass(frozen=True)
class _Run:
    network: Network
    folder: Path
    room: Classroom
    start: Path | None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.room.setting.rank == 0

    @cached_property
    def kept(self) -> CheckpointFolder:
        """The run's checkpoints."""
        return CheckpointFolder(self.folder / "checkpoints", _SAVE_SECONDS, writes=self.first)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What must not change while a run is continued."""
        return {
            "network": self.network.model_dump(mode="json"),
            "recipe": self.room.recipe.identity(),
            "data": [one.digest for one in self.room.data],
            "teachers": {teacher.name: teacher.digest for teacher in self.room.live.teachers},
            "start": None if self.start is None else _digest(self.start / WEIGHTS),
        }

    def begin(self) -> None:
        """Write down what the run is, or see that it is the same, once it is known that it can be computed here."""
        backbone, recipe = build(self.network), self.room.recipe
        self.room.setting.shares(recipe, norms=has_norms(backbone))
        check_shift(recipe, self.room.live.teachers, int(backbone.output_stride))  # type: ignore[arg-type]
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
            sweep(self.folder / "checkpoints")
        wait_for_all()

    def student(self, targets: Targets) -> Student:
        """The student before its first step."""
        room = self.room
        identity = training_identity(self.network.digest(), room.recipe, room.data[0].digest)
        student = new_student(lambda seed: build(self.network, seed), room.shapes, room.recipe, identity)
        if self.start is not None:
            new = take_over(student, self.start, targets.scales)
            told = f"Begins with the student in {self.start}; new heads: {', '.join(new) or 'none'}."
            room.console.print(told, markup=False)
        return student


class _Lessons:
    """One student of a run: its trainer, its journal and its line of progress.

    Attributes:
        begun: steps that were done before.
    """

    def __init__(self, run: _Run, targets: Targets, progress: Progress) -> None:
        room, steps = run.room, run.room.recipe.steps
        self._run, self._steps = run, steps
        self._student = run.student(targets)
        validation = validation_pages(room.recipe, len(room.data[1]))
        self._trainer = Trainer(self._student, room.recipe, targets, validation, room.setting)
        self.begun = self._trainer.begin(steps, run.kept)
        every = max(1, steps // _LINES)
        names = list(room.recipe.loss_weights())
        self._journal = Journal(run.folder, names, every, self.begun) if run.first else None
        self._progress = progress
        self._task = progress.add_task(run.folder.name, total=steps, completed=self.begun, loss="")

    def course(self, stop: Callable[[], int]) -> Course[Outcome]:
        """The training to its end."""
        return self._trainer.course(self._steps, self._run.kept, watch=self._watch, stop=lambda: bool(stop()))

    def close(self) -> None:
        """Nothing more is going to be told."""
        if self._journal is not None:
            self._journal.close()

    def finish(self, outcome: Outcome, targets: Targets) -> None:
        """Write what is left behind."""
        run, room = self._run, self._run.room
        if run.first:
            self._student.cpu().heads.restore(targets.scales)
            licences = {teacher.name: teacher.licence for teacher in room.live.teachers}
            manifest = {**run.facts, LICENCES: licences, "environment": environment()}
            write_finished(run.folder, self._student, run.network, room.recipe, outcome, manifest)

    def _watch(self, step: int, loss: float) -> None:
        self._progress.update(self._task, completed=step, loss=f"loss {loss:.4f}")
        if self._journal is not None:
            self._journal.tell(step, loss, self._trainer.losses)


def _fitted(network: Network, recipe: Recipe) -> Network:
    side = recipe.partitions[0].resolution[0]
    return choose_windows(network, (side, side), "fit") if isinstance(network, Architecture) else network


def _sheets(room: Classroom, begun: int, targets: Targets) -> Iterator[Page]:
    """The pages of training that this process is going to ask the teachers for."""
    shares = room.setting.shares(room.recipe, norms=False)
    for step in range(begun, room.recipe.steps):
        by_partition = training_pages(room.recipe, step)
        wanted = [(share, by_partition[share.partition]) for share in shares]
        if isinstance(targets, CachedTargets):
            yield from targets.missing(page for _, page in wanted)
        else:
            yield from (share.of(page) for share, page in wanted)


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
