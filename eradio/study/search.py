"""The search as one process sees it: prepares the run, keeps workers on this machine, and shows how far they are."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from eradio.distill.readable import Readable
from eradio.errors import EradioError, StorageDownError
from eradio.files import read_json, write_json
from eradio.study.address import VARIABLE
from eradio.study.config import StudyConfig
from eradio.study.display import Display, Snapshot, Workload
from eradio.study.launchers.base import Launched, Resources, WorkerState
from eradio.study.launchers.local import LocalLauncher, visible_gpus
from eradio.study.launchers.records import attached, worker_job
from eradio.study.ledger import STOP
from eradio.study.preparing import listed, look_before, prepare
from eradio.study.reading import read_finalists, read_records, read_study
from eradio.study.records import StudyRecords
from eradio.study.refusals import storage_refusals
from eradio.study.restarts import ASKED, MEND, Rules
from eradio.study.run import Run, open_run
from eradio.study.supervisor import read_note
from eradio.study.worker import status_file

_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 30.0
"""For workers that keep a checkpoint when the search is stopped, or are in the middle of a call to an engine."""


def search(folder: Path, config: StudyConfig, workers: int, console: Console) -> StudyRecords:
    """Run a study to its end, or continue it, and return its records.

    Args:
        folder: the run folder; created if missing.
        config: must equal the folder's own but for the budget.
        workers: number of worker processes, one torch thread each.
        console: where progress goes.

    Raises:
        EradioError: the study cannot go on; what is finished is kept.
    """
    run = open_run(folder, config)
    look_before(run, workers, console)
    with storage_refusals(run.address):
        prepare(run, console)
        run.studies["candidate"].set_user_attr(STOP, None)
        began = time.monotonic()
        try:
            _attend(run, workers, console)
        finally:
            _add_seconds(folder, time.monotonic() - began)
        if run.ledger.asked_to_stop() is not None:
            raise EradioError("The study was asked to stop. Run the same command again to go on.")
        if (why := run.ledger.used_up()) is not None:
            console.print(f"Nothing more was begun: {why}. A larger budget goes on.", markup=False)
        records = read_study(folder, run)
    _name_undecodable(run, records, console)
    return records


def _attend(run: Run, workers: int, console: Console) -> None:
    """Show what workers do until all have ended."""
    file = run.folder / "study.json"
    own = Resources(gpus=1 if workers <= _like_gpus() else 0)  # more of them share the first
    job = worker_job("local", run.config.name, file, run.folder, workers, own, rules=Rules(patience=_PATIENCE_SECONDS))
    with _told_where(run), Display(console, _workload(run)) as display, attached(job) as launched:
        said: set[str] = set()
        states = [WorkerState(number=number, state="waiting") for number in range(workers)]
        while any(state.state != "ended" for state in states):
            time.sleep(_POLL_SECONDS)
            states = LocalLauncher().state(launched)
            with suppress(StorageDownError):  # the workers wait for it, and so can the display
                display.update(_snapshot(run, launched))
            for state in states:
                note = read_note(launched.job.note(state.number))
                if note is not None and note.state == "waiting" and note.words not in said:
                    said.add(note.words)
                    console.print(note.words, markup=False, highlight=False)
                if state.state == "ended" and state.status == ASKED:
                    raise EradioError("The workers were asked to stop. Run the same command again to go on.")
                if state.state == "ended" and state.status != 0:
                    raise EradioError(_last_words(launched, state))


def _like_gpus() -> int:
    """How many GPUs can be given out, one each: none if they differ, since one study is of one kind of machine."""
    names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
    return len(visible_gpus()) if len(names) == 1 else 0


@contextmanager
def _told_where(run: Run) -> Iterator[None]:
    """Meanwhile processes that are started find the storage, password and all, where no `ps` shows it."""
    before = os.environ.get(VARIABLE)
    if run.config.storage is not None:
        os.environ[VARIABLE] = run.address.secret_text
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def _last_words(launched: Launched, state: WorkerState) -> str:
    log = launched.job.log(state.number)
    if state.status == MEND and "Traceback" not in state.words and state.words:
        return state.words.removeprefix("eradio: ")
    return f"A worker ended unexpectedly ({state.words or 'it said nothing'}); the whole story is in {log}."


def _snapshot(run: Run, launched: Launched) -> Snapshot:
    with storage_refusals(run.address):
        records = tuple(read_records(run.folder, run.studies))
        finalists = tuple(read_finalists(run.folder, run.studies))
    return Snapshot(records, finalists, tuple(_doing(run, launched)))


def _doing(run: Run, launched: Launched) -> Iterator[dict[str, Any]]:
    """What each worker of a launch says it is doing."""
    for number in range(launched.job.workers):
        note = read_note(launched.job.note(number))
        if note is not None and note.pid is not None:
            with suppress(OSError, ValueError):
                yield json.loads(status_file(run.folder, note.pid).read_text(encoding="utf-8"))


def _workload(run: Run) -> Workload:
    config, rivals = run.config, len(run.baselines)
    return Workload(
        networks=config.trials + rivals,
        rivals=rivals,
        rungs=config.rungs,
        reduction=config.halving.reduction if config.halving else 1,
        finalists=config.finalists + min(config.finalists, rivals),
        finalist_steps=config.finalist_steps,
    )


def _name_undecodable(run: Run, records: StudyRecords, console: Console) -> None:
    """Say which pictures had a sound header and yet could not be decoded."""
    known = {name for data in run.data if isinstance(data, Readable) for name in data.unreadable()}
    met = {name for trial in records.trials for name in trial.manifest.get("unreadable", ())}
    if met - known:
        late = sorted(met - known)
        console.print(f"{len(late)} more files could not be decoded and were replaced: {listed(late)}", markup=False)


def _add_seconds(folder: Path, seconds: float) -> None:
    path = folder / "seconds.json"
    write_json(path, (read_json(path) if path.exists() else 0.0) + seconds)
