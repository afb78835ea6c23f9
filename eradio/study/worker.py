"""One worker process: fills the teacher cache, then takes trials until none is left, or it is asked to stop."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from eradio.distill.cache import CachedTargets
from eradio.distill.stopping import AskedError, Stop, StoppedError, stopping
from eradio.errors import EradioError
from eradio.study import finalists
from eradio.study.config import StudyConfig
from eradio.study.desk import Desk
from eradio.study.holding import Claim
from eradio.study.launchers.base import THREADS
from eradio.study.lease import Beating
from eradio.study.ledger import Ledger
from eradio.study.preparing import look_before, prepare
from eradio.study.refusals import storage_refusals
from eradio.study.restarts import ASKED, DONE
from eradio.study.run import Run, open_run

_IDLE_SECONDS, _MOST_IDLE_SECONDS = 0.3, 5.0
_BEAT_SECONDS = 0.5


def status_file(folder: Path, pid: int) -> Path:
    """Where a worker on this host says what it is doing."""
    return folder / "workers" / f"{os.uname().nodename}-{pid}.json"


class Status:
    """What this worker is doing, in a file that a search's display reads."""

    def __init__(self, folder: Path) -> None:
        self._path = status_file(folder, os.getpid())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._last = 0.0

    def show(self, job: str, folder: Path | None, step: int, steps: int, together: int = 1) -> None:
        """Say where the work stands, at most twice a second."""
        now = time.monotonic()
        if now - self._last < _BEAT_SECONDS and 0 < step < steps:
            return
        self._last = now
        where = None if folder is None else str(folder)
        state = {"job": job, "folder": where, "step": step, "steps": steps, "together": together}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self._path)


def work(run: Run, stop: Stop, show: Status) -> None:
    """Take trials until the study is complete.

    Raises:
        StoppedError: it was asked to stop, and has handed back what it held.
        StorageDownError: the storage has not answered for some minutes.
        EradioError: the study cannot go on.
    """
    show.show("starting", None, 0, 0)
    ledger = run.ledger
    with Beating(partial(_sign_of_life, ledger), run.config.lease):
        if not _filled(run, stop, show, range(run.config.recipe.steps), "teacher targets"):
            return
        desk = Desk(run, run.config.rungs, run.cohort, lambda: stop() > 0, show.show, stop.ending)
        _until(desk, stop, show, ledger, ledger.claim, ledger.finished)
        if run.config.finalists and not ledger.asked_to_stop():
            chosen = finalists.chosen_in(run)
            longer = range(run.config.recipe.steps, run.config.finalist_steps)
            if not ledger.out_of_time() and not _filled(run, stop, show, longer, "finalists' targets"):
                return
            desk = Desk(run, (run.config.finalist_steps,), run.cohort, lambda: stop() > 0, show.show, stop.ending)
            claim = partial(ledger.claim_finalist, chosen)
            _until(desk, stop, show, ledger, claim, partial(ledger.finalists_finished, chosen))
    show.show("done", None, 0, 0)


def _sign_of_life(ledger: Ledger) -> None:
    ledger.holding.beat()
    with suppress(Exception):  # as for a beat: the next one may come through
        if ledger.wish() == "now":
            os.kill(os.getpid(), signal.SIGUSR2)


def _until(
    desk: Desk,
    stop: Stop,
    show: Status,
    ledger: Ledger,
    claim: Callable[[], Claim | None],
    finished: Callable[[], bool],
) -> None:
    pause = _IDLE_SECONDS
    with stop.noting():
        try:
            while True:
                draining = ledger.asked_to_stop() is not None
                if not desk and (draining or finished()):
                    return
                if stop():
                    raise StoppedError
                if desk and (why := ledger.used_up()) is not None:
                    desk.close(why)
                if desk.turn(claim, more=not draining):
                    pause = _IDLE_SECONDS
                    continue
                show.show("waiting", None, 0, 0)
                time.sleep(pause)
                pause = min(2 * pause, _MOST_IDLE_SECONDS)
        except (StoppedError, AskedError):
            with stop.noting():  # a signal may have come on the way into `ending` or out of it
                desk.hand_back("its worker was asked to stop")
            raise StoppedError from None
        except Exception:
            with suppress(EradioError):
                desk.hand_back("its worker ended")
            raise


def _filled(run: Run, stop: Stop, show: Status, steps: range, what: str) -> bool:
    """Fill the teacher cache, where there is one; False if the study is to stop meanwhile."""
    if not isinstance(run.targets, CachedTargets):
        return True
    with stop.ending():
        missing, looked = run.cached.missing(run.pages(steps)), time.monotonic()
        for done, _ in enumerate(run.cached.fill(missing)):
            show.show(what, None, done, len(missing))
            if time.monotonic() - looked > _MOST_IDLE_SECONDS:
                looked = time.monotonic()
                if run.ledger.asked_to_stop() is not None:
                    return False
    run.rest()
    return True


def worker(folder: Path, config: StudyConfig, console: Console) -> int:
    """Work on a study until it is complete, or this process is asked to stop.

    Args:
        folder: the run folder, on a file system that all workers share.
        config: of the study.
        console: where it says what it finds.

    Returns:
        0 if nothing is left to do, or 143 if it was asked to stop.

    Raises:
        StorageDownError: the storage has not answered for some minutes.
        EradioError: the study cannot go on.
    """
    if THREADS[0] not in os.environ:  # else torch has heard it; workers are as many as cores unless somebody counted
        torch.set_num_threads(1)
    try:
        with stopping() as stop:
            if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as in the background of a shell
                signal.signal(signal.SIGINT, stop.note)
            with stop.ending():
                run = open_run(folder, config)
                look_before(run, 1, console)
                with storage_refusals(run.address):
                    prepare(run, console)
            with storage_refusals(run.address):
                work(run, stop, Status(folder))
                if run.ledger.asked_to_stop() is not None:
                    console.print("The study is to stop: `eradio launch` or `eradio search` takes that back.")
        return DONE
    except StoppedError:
        console.print("Asked to stop; what was held can be gone on with.")
        return ASKED
