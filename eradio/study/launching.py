"""Workers started elsewhere, looked at, and asked to end."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eradio.errors import EradioError
from eradio.files import disk_error, write_json
from eradio.study.address import VARIABLE, study_address
from eradio.study.config import StudyConfig
from eradio.study.launchers import load_launcher
from eradio.study.launchers.base import Resources, WorkerState
from eradio.study.launchers.records import begin, states, stop_all, worker_job
from eradio.study.ledger import STOP
from eradio.study.preparing import look_before
from eradio.study.refusals import storage_refusals
from eradio.study.run import Run, open_run

_PATIENCE_SECONDS = 120.0


def launch(
    launcher: str,
    config: StudyConfig,
    path: Path,
    folder: Path,
    workers: int,
    resources: Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    dry_run: bool,
    console: Console,
) -> str:
    """Start workers of a study, or only show what would run.

    Args:
        launcher: its name.
        config: of the study.
        path: of the study's file, which the workers read.
        folder: of the run.
        workers: how many.
        resources: of each, as `Resources` names them.
        overrides: options of the command line that go before the file, for the workers as well.
        dry_run: whether nothing is to be started, nor written.
        console: where warnings go.

    Returns:
        What was started, in a sentence, or what would run.

    Raises:
        EradioError: something is missing, or was refused.
    """
    wanted = Resources.parse(dict(resources), f"eradio launch {launcher}")
    job = worker_job(launcher, config.name, path, folder, workers, wanted, overrides=overrides)
    one = load_launcher(launcher)
    if launcher == "kubernetes" and "--storage" in overrides and any(o.startswith("--secret=") for o in wanted.options):
        raise EradioError("The Secret gives the pods their storage. Leave --storage out.")
    _refuse_embedded(launcher, config, folder, wanted)
    if dry_run:
        if launcher != "kubernetes":
            open_run(folder, config)
        if wrong := one.check(job):
            raise EradioError(" ".join(wrong))
        for sentence in one.missing():
            print(sentence, file=sys.stderr)  # what is shown may go into a file, and be run elsewhere
        return one.render(job)
    if launcher == "kubernetes":  # whose pods see another file system, and perhaps another storage
        _take_back_elsewhere(config, folder, console)
        launched = begin(launcher, job)
        return (
            f"{launched.job.name}: {workers} workers of '{config.name}', the Job {launched.details['object']}. Where "
            f"ERADIO_STORAGE is set as in the pods, look with `eradio status {path}`, and end them with `eradio stop "
            f"{path}`; their logs are with `kubectl logs`."
        )
    _forget_unbegun(folder)
    run = open_run(folder, config)
    look_before(run, workers, console)
    with storage_refusals(run.address):
        run.studies["candidate"].set_user_attr(STOP, None)
    with _written_down(run):
        launched = begin(launcher, job)
    return (
        f"{launched.job.name}: {workers} workers of '{config.name}'. Look with `eradio status {folder}`, end them with "
        f"`eradio stop {folder}`; their logs are in {launched.job.logs}."
    )


def _refuse_embedded(launcher: str, config: StudyConfig, folder: Path, asked: Resources) -> None:
    """Refuse workers of several machines for a storage that only one machine may use.

    Raises:
        EradioError: it is an SQLite file.
    """
    environment: Mapping[str, str] = os.environ
    if launcher == "kubernetes":
        if any(option.startswith("--secret=") for option in asked.options):
            return  # which gives the pods their ERADIO_STORAGE, unseen from here
        environment = {}
    if launcher == "local" or study_address(folder, config.storage, environment).shared:
        return
    secret = " or name a Secret that holds it with --option=--secret=NAME," if launcher == "kubernetes" else ""
    raise EradioError(
        f"The study's storage is an SQLite file, which workers of several machines must not share. Give it "
        f"`storage: postgresql://USER@HOST/DATABASE`,{secret} and launch again."
    )


def _take_back_elsewhere(config: StudyConfig, folder: Path, console: Console) -> None:
    """Take back a wish to end that `eradio stop` left, if the pods' storage can be reached from here."""
    try:
        run = open_run(folder, config)
        if not run.address.shared:
            raise EradioError(f"{VARIABLE} is not set here, so the pods' storage is not known.")
        with storage_refusals(run.address):
            run.studies["candidate"].set_user_attr(STOP, None)
    except EradioError as error:
        words = "If `eradio stop` was run before, the new workers end at once too, because its wish still stands:"
        console.print(f"{words} {error}", markup=False, style="yellow")


def _forget_unbegun(folder: Path) -> None:
    """Remove the configuration of a launch whose workers never began the study: it may be mended and launched again.

    Raises:
        EradioError: the folder cannot be written.
    """
    path = folder / "study.json"
    begun = (folder / "facts.json").exists() or any(one.state != "ended" for _, all_ in states(folder) for one in all_)
    if not begun:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, path) from None


@contextmanager
def _written_down(run: Run) -> Iterator[None]:
    """Make the folder one that `eradio status` and `stop` know before the first worker has; not if none is started."""
    path = run.folder / "study.json"
    new = not path.exists()  # otherwise the first worker brings it up to date
    if new:
        write_json(path, run.config.model_dump(mode="json"))
    try:
        yield
    except EradioError:
        if new:
            path.unlink(missing_ok=True)
        raise


def launched_table(folder: Path) -> Table | Text:
    """How launched workers are, as their launchers see them.

    Those that are alive, and of each launcher's latest launch those that ended otherwise than by having nothing to do.
    """
    found = states(folder)
    latest = {launched.launcher: launched.job.name for launched, _ in found}
    alive = any(worker.state != "ended" for _, workers in found for worker in workers)
    nobody = None if alive else "No launched worker is alive."
    table = Table("launch", "worker", "state", "words", title="launched workers", box=None, caption=nobody)
    for launched, workers in found:
        for worker in workers:
            if worker.state != "ended" or (worker.status != 0 and launched.job.name == latest[launched.launcher]):
                table.add_row(launched.job.name, str(worker.number), _state(worker), Text(worker.words))
    return table if table.rows else Text(nobody if found and nobody else "")


def _state(worker: WorkerState) -> str:
    return worker.state if worker.status is None else f"{worker.state} ({worker.status})"


def stop(run: Run, *, now: bool) -> list[str]:
    """Have all workers of a study end.

    Args:
        run: of the study.
        now: whether at once, with a checkpoint; otherwise after the trials that they hold.

    Returns:
        What was done, in sentences.

    Raises:
        EradioError: the storage does not answer, or a launch's workers cannot be reached; all others were told.
    """
    wrong = []
    try:
        with storage_refusals(run.address):
            run.studies["candidate"].set_user_attr(STOP, "now" if now else "drain")
    except EradioError as error:
        if not now:
            raise
        wrong.append(str(error))  # workers that were launched can be told without it
    if not now:
        return [
            "Workers take no further trial, and end after those that they hold. `eradio search` or `launch` goes on."
        ]
    wrong += stop_all(run.folder, _PATIENCE_SECONDS)
    if wrong:
        raise EradioError(" ".join(wrong))
    return ["Workers keep a checkpoint and end. `eradio search` or `launch` goes on."]
