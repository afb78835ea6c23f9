"""Launches of a run folder: begun, kept as files, asked and stopped by any process that sees the folder."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from eradio.errors import EradioError
from eradio.files import disk_error, read_json, write_json
from eradio.study.launchers import load_launcher, local
from eradio.study.launchers.base import Job, Launched, Resources, WorkerState
from eradio.study.restarts import Rules

_QUEUEING_SECONDS = 20.0
_LEAST_PATIENCE_SECONDS = 20.0


def worker_job(
    launcher: str,
    study: str,
    config: Path,
    run: Path,
    workers: int,
    resources: Resources | None = None,
    environment: tuple[str, ...] | None = None,
    rules: Rules | None = None,
    overrides: Sequence[str] = (),
) -> Job:
    """The job of a number of workers of a study; nothing is written.

    Raises:
        EradioError: a name or number is not valid.
    """
    config, run = config.expanduser().resolve(), run.expanduser().resolve()
    asked = resources or Resources()
    plain = {
        "name": _next_name(run, launcher),
        "study": study,
        "command": [sys.executable, "-m", "eradio", "worker", "--config", str(config), "--out", str(run), *overrides],
        "workers": workers,
        "folder": str(Path.cwd()),
        "run": str(run),
        "config": str(config),
        "environment": environment,
        "resources": asked.model_dump(mode="json"),
        "rules": (rules or _rules(launcher, asked)).model_dump(mode="json"),
    }
    return Job.parse(plain, f"eradio launch {launcher}")


def begin(launcher: str, job: Job) -> Launched:
    """Check a job, start its workers, and keep the launch in the run folder.

    Raises:
        EradioError: something is missing; the launcher refused; the folder cannot be written.
    """
    one = load_launcher(launcher)
    if wrong := [*one.check(job), *one.missing()]:
        raise EradioError(" ".join(wrong))
    _reserve(job)
    try:
        launched = one.launch(job)
    except EradioError:
        with suppress(OSError):
            job.logs.rmdir()  # if nothing was written into it
        raise
    try:
        keep(launched)
    except EradioError:  # nobody could find them again
        one.stop(launched, job.rules.patience)
        raise
    return launched


@contextmanager
def attached(job: Job) -> Iterator[Launched]:
    """Workers on this machine for as long as the block lasts, and no longer than this process.

    Raises:
        EradioError: as `begin`.
    """
    if wrong := local.LocalLauncher().check(job):
        raise EradioError(" ".join(wrong))
    _reserve(job)
    with local.attached(job) as launched:
        keep(launched)
        yield launched


def keep(launched: Launched) -> None:
    """Write a launch into the run folder.

    Raises:
        EradioError: the folder cannot be written.
    """
    write_json(launched.job.logs.with_suffix(".json"), launched.model_dump(mode="json"))


def launches(run: Path) -> list[Launched]:
    """All launches of a run folder, oldest first.

    Raises:
        EradioError: one of them cannot be read.
    """
    paths = (run / "launches").glob("*.json")
    return sorted((Launched.parse(read_json(path), str(path)) for path in paths), key=lambda one: one.when)


def states(run: Path) -> list[tuple[Launched, list[WorkerState]]]:
    """All launches of a run folder with how their workers are."""
    return [(launched, load_launcher(launched.launcher).state(launched)) for launched in launches(run)]


def stop_all(run: Path, patience: float) -> list[str]:
    """Stop every worker of a run folder's launches; returns what could not be done, as sentences.

    Args:
        run: the run folder.
        patience: seconds for the workers of one launch to keep what they did, or more where its rules give more.
    """
    wrong = []
    for launched in launches(run):
        launcher = load_launcher(launched.launcher)
        try:
            if any(worker.state != "ended" for worker in launcher.state(launched)):
                launcher.stop(launched, max(patience, launched.job.rules.patience))
        except EradioError as error:
            wrong.append(f"{launched.job.name}: {error}")
    return wrong


def _rules(launcher: str, asked: Resources) -> Rules:
    """The usual ones; where the time limit gives notice, a worker may use all of it but what queueing again takes."""
    if launcher != "slurm":
        return Rules()
    return Rules(patience=max(_LEAST_PATIENCE_SECONDS, asked.notice_seconds - _QUEUEING_SECONDS))


def _next_name(run: Path, launcher: str) -> str:
    taken = {path.name for path in (run / "launches").glob(f"{launcher}-*")}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{launcher}-{number}") not in taken)


def _reserve(job: Job) -> None:
    """Make the launch's folder, which no other launch may share."""
    try:
        job.logs.parent.mkdir(parents=True, exist_ok=True)
        job.logs.mkdir()
    except FileExistsError:
        raise EradioError(
            f"{job.run} has a launch {job.name} already, begun a moment ago by somebody else. Run the command again."
        ) from None
    except OSError as error:
        raise disk_error(error, job.logs) from None
