"""Live progress of a search: a line for every trial that ends, and a bar with what is left."""

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eradio.front import front
from eradio.study.records import FinalistRecord, TrialRecord


@dataclass(frozen=True)
class Snapshot:
    """How far a search is: ended trials, ended finalists, and what each worker says it is doing."""

    trials: tuple[TrialRecord, ...]
    finalists: tuple[FinalistRecord, ...]
    workers: tuple[dict[str, Any], ...]


class Display:
    """Shows snapshots on a console; a line per event where the console is no terminal."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._seen: set[tuple[str, str, int]] = set()
        self._began = time.monotonic()
        self._first: int | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("networks", total=total, facts="")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Print what has ended since the last call and redraw the bar."""
        counted = [trial for trial in snapshot.trials if trial.state == "complete" and trial.duplicate_of is None]
        facts = summary(snapshot)
        if self._first is None:
            self._first = len(counted)
        for trial in snapshot.trials:
            self._say(("trial", trial.role, trial.number), _trial_line(trial), facts)
        for finalist in snapshot.finalists:
            line = f"finalist {finalist.name}: loss {finalist.score.loss:.4f} after {finalist.score.steps} steps"
            self._say(("finalist", finalist.role, finalist.number), line, facts)
        doing = ", ".join(_job(worker) for worker in snapshot.workers if worker["job"] != "done")
        self._progress.update(
            self._task,
            completed=min(len(counted), self._total),
            facts=f"{facts}{self._left(len(counted))} | {doing}",
        )

    def _say(self, key: tuple[str, str, int], line: str, facts: str) -> None:
        if key not in self._seen:
            self._seen.add(key)
            text = line if self._console.is_terminal else f"{line} ({facts})"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _left(self, done: int) -> str:
        """Time left, from the rate at which networks of this session ended."""
        new = done - (self._first or 0)
        if new < 1 or done >= self._total:
            return ""
        seconds = (time.monotonic() - self._began) / new * (self._total - done)
        return f", ETA {int(seconds // 60)}:{int(seconds % 60):02d}"


def summary(snapshot: Snapshot) -> str:
    """Best loss and front size of the candidates so far."""
    points = [
        (trial.score.loss, -trial.measurement.throughput.value)
        for trial in snapshot.trials
        if trial.role == "candidate" and trial.duplicate_of is None and trial.score and trial.measurement
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
    return f"{trial.name}: loss {trial.score.loss:.4f}, {speed.value:.0f} images/s, {trial.words}"


def _job(worker: dict[str, Any]) -> str:
    return f"{worker['job']} {worker['step']}/{worker['steps']}" if worker["steps"] else str(worker["job"])
