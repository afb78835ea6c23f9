"""Live progress of a search: a line for every trial that ends, and a bar with what is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from eradio.front import front
from eradio.study.records import FinalistRecord, TrialRecord

FINALIST = "finalist"
"""First word of a worker's job while it trains finalists."""


@dataclass(frozen=True)
class Workload:
    """What a search has to do: candidates that are judged at rungs, rivals, and networks that are taught on after them.

    Attributes:
        networks: candidates and rivals.
        rivals: of them, which are never halted.
        rungs: in training steps, the last one included.
        reduction: one in so many goes on from a rung.
    """

    networks: int
    rivals: int
    rungs: tuple[int, ...]
    reduction: int
    finalists: int
    finalist_steps: int

    @property
    def steps(self) -> int:
        """Of the last rung."""
        return self.rungs[-1]

    def total(self) -> int:
        """Training steps in all, as far as they can be foreseen."""
        legs = zip((0, *self.rungs), self.rungs, strict=False)
        candidate = sum((end - start) / float(self.reduction) ** number for number, (start, end) in enumerate(legs))
        judged = (self.networks - self.rivals) * candidate
        return round(judged + self.rivals * self.steps + self.finalists * (self.finalist_steps - self.steps))


@dataclass(frozen=True)
class Snapshot:
    """How far a search is: ended trials, ended finalists, and what each worker says it is doing."""

    trials: tuple[TrialRecord, ...]
    finalists: tuple[FinalistRecord, ...]
    workers: tuple[dict[str, Any], ...]

    def networks(self) -> int:
        """Distinct networks that were taught to their rung, or judged not to be."""
        return sum(trial.state != "failed" and trial.duplicate_of is None for trial in self.trials)

    def ended(self) -> int:
        """Trials and finalists that have ended, however."""
        return len(self.trials) + len(self.finalists)

    def steps_done(self, workload: Workload) -> int:
        """Training steps of all that ended and of all that is under way."""
        extra = workload.finalist_steps - workload.steps
        taught = (trial.score.steps for trial in self.trials if trial.score and trial.duplicate_of is None)
        done = sum(taught) + len(self.finalists) * extra
        for worker in self.workers:
            if worker["job"].startswith(FINALIST):
                done += worker.get("together", 1) * max(0, worker["step"] - workload.steps)
            elif worker["folder"] is not None:
                done += worker.get("together", 1) * worker["step"]
        return int(min(done, workload.total()))


class Display:
    """Shows snapshots on a console; a line per event where the console is no terminal."""

    def __init__(self, console: Console, workload: Workload, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._workload = workload
        self._seen: set[tuple[str, str, int]] = set()
        self._clock = clock
        self._began = clock()
        self._first: int | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("search", total=workload.total(), facts="")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Print what has ended since the last call and redraw the bar."""
        done = snapshot.steps_done(self._workload)
        if self._first is None:
            self._first = done
        count = f"{snapshot.networks()}/{self._workload.networks} networks"
        facts = f"{count}, {summary(snapshot)}{self._left(done)}"
        for trial in snapshot.trials:
            self._say(("trial", trial.role, trial.number), _trial_line(trial), facts)
        for finalist in snapshot.finalists:
            self._say((FINALIST, finalist.role, finalist.number), _finalist_line(finalist), facts)
        doing = ", ".join(_job(worker) for worker in snapshot.workers if worker["job"] != "done")
        self._progress.update(self._task, completed=done, facts=f"{facts} | {doing}")

    def _say(self, key: tuple[str, str, int], line: str, facts: str) -> None:
        if key not in self._seen:
            self._seen.add(key)
            text = line if self._console.is_terminal else f"{line} ({facts})"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _left(self, done: int) -> str:
        """Time left, from the rate of training steps since this session began."""
        new = done - (self._first or 0)
        left = self._workload.total() - done
        if new < 1 or left < 1:
            return ""
        seconds = (self._clock() - self._began) / new * left
        return f", ETA {int(seconds // 60)}:{int(seconds % 60):02d}"


def summary(snapshot: Snapshot) -> str:
    """Best loss and front size of the candidates so far."""
    points = [
        (trial.score.loss, -trial.measurement.throughput.value)
        for trial in snapshot.trials
        if trial.role == "candidate" and trial.state == "complete" and trial.duplicate_of is None
        if trial.score and trial.measurement
    ]
    if not points:
        return "no candidate yet"
    best = min(loss for loss, _ in points)
    return f"best loss {best:.4f}, front {len(front(np.array(points)))}"


def _trial_line(trial: TrialRecord) -> str:
    if trial.state == "failed":
        return f"{trial.role} {trial.number} failed: {trial.reason}"
    if trial.duplicate_of is not None or trial.score is None or trial.measurement is None:
        return f"{trial.role} {trial.number} is the same network as {trial.duplicate_of}"
    speed = trial.measurement.throughput
    if trial.state == "halted":
        return (
            f"{trial.name} {trial.end} ({trial.reason}): loss {trial.score.loss:.4f}, {speed.value:.0f} images/s, "
            f"{trial.words}"
        )
    return f"{trial.name}: loss {trial.score.loss:.4f}, {speed.value:.0f} images/s, {trial.words}"


def _finalist_line(finalist: FinalistRecord) -> str:
    if finalist.reason:
        return f"finalist {finalist.name} failed: {finalist.reason}"
    return f"finalist {finalist.name}: loss {finalist.score.loss:.4f} after {finalist.score.steps} steps"


def _job(worker: dict[str, Any]) -> str:
    return f"{worker['job']} {worker['step']}/{worker['steps']}" if worker["steps"] else str(worker["job"])
