"""One worker process: fills the teacher cache, then takes jobs until none is left."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

from eradio.distill.cache import CachedTargets
from eradio.distill.checkpoint import CheckpointFolder
from eradio.errors import EradioError
from eradio.files import disk_error
from eradio.study import finalists
from eradio.study.objective import run_trial
from eradio.study.run import Run, open_run
from eradio.study.storage import storage_refusals

_IDLE_SECONDS = 0.3
_BEAT_SECONDS = 0.5


class Status:
    """What this worker is doing, in a file that the search's display reads."""

    def __init__(self, folder: Path, parent: int) -> None:
        self._path = folder / "workers" / f"{os.getpid()}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._parent = parent
        self._last = 0.0

    def show(self, job: str, folder: Path | None, step: int, steps: int) -> None:
        """Say where the work stands, at most twice a second; leave if the search that started us has died."""
        if os.getppid() != self._parent:
            sys.exit("The search that started this worker has ended.")
        now = time.monotonic()
        if now - self._last < _BEAT_SECONDS and 0 < step < steps:
            return
        self._last = now
        state = {"job": job, "folder": None if folder is None else str(folder), "step": step, "steps": steps}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self._path)


def work(folder: Path, parent: int) -> None:
    """Take jobs from a run folder until the study is complete, or the process `parent` that asked for it is gone.

    Raises:
        EradioError: the study cannot go on.
    """
    torch.set_num_threads(1)
    run = open_run(folder)
    status = Status(folder, parent)
    status.show("starting", None, 0, 0)
    _fill(run, status, range(run.config.recipe.steps), "teacher targets")
    while not run.ledger.finished():
        if not _next_trial(run, status):
            status.show("waiting", None, 0, 0)
            time.sleep(_IDLE_SECONDS)
    if run.config.finalists:
        chosen = finalists.chosen_in(run)
        more = range(run.config.recipe.steps, run.config.finalist_steps)
        _fill(run, status, more, "finalists' targets")
        while not finalists.finished(run, chosen):
            if not finalists.next_one(run, chosen, status.show):
                status.show("waiting", None, 0, 0)
                time.sleep(_IDLE_SECONDS)
    status.show("done", None, 0, 0)


def _next_trial(run: Run, status: Status) -> bool:
    claim = run.ledger.claim()
    if claim is None:
        return False
    steps = run.config.recipe.steps
    try:
        status.show(claim.name, claim.folder, 0, steps)
        record = run_trial(
            run,
            claim.role,
            claim.trial.number,
            claim.name,
            claim.network,
            claim.folder,
            lambda step, loss: status.show(claim.name, claim.folder, step, steps),
        )
        run.ledger.tell(claim, record)
        CheckpointFolder(claim.folder).drop(steps)
    finally:
        claim.release()
    return True


def _fill(run: Run, status: Status, steps: range, what: str) -> None:
    if not isinstance(run.targets, CachedTargets):
        return
    missing = run.cached.missing(run.pages(steps))
    for done, _ in enumerate(run.cached.fill(missing)):
        status.show(what, None, done, len(missing))


def main(folder: str, parent: str) -> None:
    """Entry of the process; an error the user can mend is one line and status 1."""
    # Ctrl-C reaches the whole process group; the search then ends its workers in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with storage_refusals(Path(folder) / "study.db"):
            work(Path(folder), int(parent))
    except EradioError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(str(disk_error(error, Path(error.filename or folder))))


if __name__ == "__main__":
    main(*sys.argv[1:3])
