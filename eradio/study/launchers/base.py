"""What every launcher is given, and what it gives back: data, so that another process can ask later."""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from eradio.description import Description
from eradio.study.address import has_password
from eradio.study.restarts import Rules

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that hold numerical libraries to a worker's own cores."""


class Resources(Description):
    """What each worker gets. What a launcher cannot give, it says in a sentence (see `Launcher.check`)."""

    cpus: int = Field(1, ge=1)
    gpus: int = Field(0, ge=0)
    memory_mb: int | None = Field(None, ge=1, description="megabytes (of 1,048,576 bytes); None for the launcher's own")
    minutes: int | None = Field(None, ge=1, description="time limit")
    notice_seconds: int = Field(300, ge=1, description="so long before Slurm's time limit a worker is asked to stop")
    partition: str | None = None
    account: str | None = None
    options: tuple[str, ...] = Field((), description="further options, as the launcher's own tool spells them")


class Job(Description):
    """A number of identical workers of one study."""

    name: Name
    """Of this launch; unique within the run folder."""
    study: Name
    command: tuple[str, ...] = Field(min_length=1)
    """One worker: a program and its arguments."""
    workers: int = Field(ge=1)
    folder: Path
    """Where the workers run: relative paths in the command start here."""
    run: Path
    """The study's run folder."""
    config: Path | None = None
    """The study's file, for launchers whose workers see another file system."""
    environment: tuple[Variable, ...] | None = None
    """Names of the variables that are passed on; None for all. Their values are never written anywhere."""
    resources: Resources = Resources()
    rules: Rules = Rules()

    @property
    def logs(self) -> Path:
        """Where the workers' logs and notes go."""
        return self.run / "launches" / self.name

    def log(self, number: int | str) -> Path:
        """The log of worker `number`."""
        return self.logs / f"worker-{number}.log"

    def note(self, number: int | str) -> Path:
        """The note of worker `number` (see `eradio.study.supervisor`)."""
        return self.logs / f"worker-{number}.json"


class Launched(Description):
    """Workers that were started. The numbers in it are hints; what is done, the study knows."""

    launcher: str
    job: Job
    when: str
    host: str
    details: dict[str, Any]
    """What the launcher needs to find them again."""


class WorkerState(Description):
    """One worker, as its launcher sees it."""

    number: int
    state: Literal["waiting", "running", "ended", "unknown"]
    status: int | None = None
    """Exit status of one that has ended, where it is known."""
    words: str = ""
    """Why it waits, how it ended, or why nothing is known."""


class Launcher(Protocol):
    """Starts workers somewhere, asks how they are, and stops them."""

    name: str

    def check(self, job: Job) -> list[str]:
        """What cannot be had, from wherever the job is launched, as sentences; starts nothing."""
        ...

    def missing(self) -> list[str]:
        """What this machine lacks to launch any job, as sentences."""
        ...

    def render(self, job: Job) -> str:
        """Exactly what `launch` would run, as text; no value of any variable of the environment is in it."""
        ...

    def launch(self, job: Job) -> Launched:
        """Start the workers.

        Raises:
            EradioError: it was refused.
        """
        ...

    def state(self, launched: Launched) -> list[WorkerState]:
        """How each worker is, in the order of their numbers."""
        ...

    def stop(self, launched: Launched, patience: float) -> None:
        """Ask all workers to keep what they did and end; end those that have not after so many seconds.

        Raises:
            EradioError: they cannot be reached from here.
        """
        ...


def usual_checks(job: Job) -> list[str]:
    """What is wrong wherever the job goes."""
    wrong = []
    texts = [*job.command, *job.resources.options, job.resources.partition or "", job.resources.account or ""]
    if any(has_password(text) for text in texts):
        wrong.append(
            "The command or an option holds a password, which every user of the machine could read. Take it out, and "
            "put it into ERADIO_STORAGE, PGPASSWORD or ~/.pgpass."
        )
    if any(character < " " for text in [*texts, str(job.run), str(job.folder)] for character in text):
        wrong.append("A path, the command or an option holds a line break or control character. Take it out.")
    if job.config is not None and not job.config.is_file():
        wrong.append(f"There is no file {job.config}. Give the study's file with --config.")
    return wrong


def supervised(job: Job, python: str, number: int | str, more: Sequence[str] = (), log: bool = True) -> list[str]:
    """The command line that keeps worker `number` alive (see `eradio.study.supervisor`)."""
    own = ["--note", str(job.note(number)), "--rules", job.rules.canonical(), *more]
    own = [*(["--log", str(job.log(number))] if log else []), *own]
    return [python, "-m", "eradio.study.supervisor", *own, "--", *job.command]


def launched_by(launcher: str, job: Job, details: dict[str, Any]) -> Launched:
    """A launch that happened here and now."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Launched(launcher=launcher, job=job, when=when, host=socket.gethostname(), details=details)
