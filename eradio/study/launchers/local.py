"""Workers on this machine: one supervised process each, on its own cores or GPUs, detached from the terminal."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from eradio.errors import EradioError
from eradio.files import disk_error
from eradio.study.launchers.base import THREADS, Job, Launched, WorkerState, launched_by, supervised, usual_checks
from eradio.study.processes import ProcessIdentity, tell
from eradio.study.supervisor import read_note

_ALWAYS = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_GRACE_SECONDS = 3.0
"""Beyond a supervisor's patience with its worker, so that it has the time to say how it ended."""


class LocalLauncher:
    """Starts supervised workers on this machine."""

    name = "local"

    def check(self, job: Job) -> list[str]:
        """What cannot be had, as sentences; starts nothing."""
        asked, wrong = job.resources, usual_checks(job)
        cores, gpus, memory = len(os.sched_getaffinity(0)), len(visible_gpus()), _memory_mb()
        if asked.cpus > cores:
            wrong.append(f"Each worker asks for {asked.cpus} cores, and this machine gives {cores}. Ask for fewer.")
        if asked.gpus * job.workers > gpus:
            wrong.append(
                f"{job.workers} workers of {asked.gpus} GPUs each need {asked.gpus * job.workers}, and this machine "
                f"shows {gpus}. Start fewer workers, or look at nvidia-smi and CUDA_VISIBLE_DEVICES."
            )
        if asked.memory_mb is not None and asked.memory_mb * job.workers > memory:
            wrong.append(
                f"{job.workers} workers of {asked.memory_mb} MB each need more than this machine's {memory} MB. "
                "Start fewer workers."
            )
        given = {"time limit": asked.minutes, "partition": asked.partition, "account": asked.account}
        for what in [key for key, value in given.items() if value is not None]:
            wrong.append(f"Workers on this machine have no {what}. Leave it out.")
        if asked.options:
            wrong.append(
                f"Workers on this machine take no further options ({shlex.join(asked.options)}). Leave it out."
            )
        return wrong

    def missing(self) -> list[str]:
        """Nothing: processes can be started anywhere."""
        return []

    def render(self, job: Job) -> str:
        """Exactly what `launch` would run: one line for each worker."""
        lines = []
        for number in range(job.workers):
            own = [f"{name}={value}" for name, value in _own(job, number).items()]
            lines.append(f"env {shlex.join([*own, 'setsid', *supervised(job, sys.executable, number)])} &")
        return "\n".join([f"cd {shlex.quote(str(job.folder))}", *lines]) + "\n"

    def launch(self, job: Job) -> Launched:
        """Start the workers, detached.

        Raises:
            EradioError: a process cannot be started.
        """
        return _started(job, None)

    def state(self, launched: Launched) -> list[WorkerState]:
        """How each worker is."""
        return [_state(launched.job, number, process) for number, process in enumerate(_processes(launched))]

    def stop(self, launched: Launched, patience: float) -> None:
        """Ask all workers to end; end those that have not after so many seconds.

        Raises:
            EradioError: they run on another machine.
        """
        processes = _processes(launched)
        if any(process.state() == "elsewhere" for process in processes):
            raise EradioError(f"These workers run on {launched.host}, not here. Run the same command there.")
        left = tell(processes, signal.SIGTERM, patience + _GRACE_SECONDS)
        # The kernel kills a worker with its supervisor.
        tell(left, signal.SIGKILL, _GRACE_SECONDS)


@contextmanager
def attached(job: Job) -> Iterator[Launched]:
    """Workers for as long as the block lasts; they are asked to stop also when this process ends in any way.

    Raises:
        EradioError: a process cannot be started.
    """
    launched = _started(job, os.getpid())
    try:
        yield launched
    finally:
        LocalLauncher().stop(launched, job.rules.patience)


def visible_gpus(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> list[str]:
    """The GPUs of this machine as CUDA_VISIBLE_DEVICES names them, no more than that variable allows already."""
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return [str(index) for index, _ in enumerate(sorted(devices.glob("nvidia[0-9]*")))]


def _started(job: Job, parent: int | None) -> Launched:
    identities: list[ProcessIdentity] = []
    more = () if parent is None else ("--parent", str(parent))
    passed = os.environ if job.environment is None else _named(job.environment)
    try:
        for number in range(job.workers):
            job.logs.mkdir(parents=True, exist_ok=True)
            with job.log(number).open("ab") as output:
                process = subprocess.Popen(
                    supervised(job, sys.executable, number, more),
                    cwd=job.folder,
                    env={**passed, **_own(job, number)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            if identity := ProcessIdentity.of(process.pid):  # always: nobody has collected it yet
                identities.append(identity)
    except OSError as error:
        tell(identities, signal.SIGTERM, _GRACE_SECONDS)
        raise disk_error(error, Path(error.filename or job.logs)) from None
    return launched_by("local", job, {"processes": [identity.model_dump() for identity in identities]})


def _own(job: Job, number: int) -> dict[str, str]:
    """The variables that differ from this process's: threads, and the worker's own GPUs."""
    own = dict.fromkeys(THREADS, str(job.resources.cpus))
    if count := job.resources.gpus:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(visible_gpus()[number * count : (number + 1) * count])
    return own


def _named(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in (*_ALWAYS, *names) if name in os.environ}


def _processes(launched: Launched) -> list[ProcessIdentity]:
    return [ProcessIdentity.parse(plain, launched.job.name) for plain in launched.details["processes"]]


def _state(job: Job, number: int, process: ProcessIdentity) -> WorkerState:
    seen, note = process.state(), read_note(job.note(number))
    if note is not None and note.state == "ended":
        return WorkerState(number=number, state="ended", status=note.status, words=note.words)
    if seen == "gone":
        words = "It was ended from outside, or the machine went down." if note is not None else _last_line(job, number)
        return WorkerState(number=number, state="ended", words=words)
    if seen == "elsewhere":
        return WorkerState(number=number, state="unknown", words=f"It runs on {process.host}; ask there.")
    if note is None:
        return WorkerState(number=number, state="waiting", words="It is starting.")
    return WorkerState(number=number, state=note.state, words=note.words)


def _memory_mb() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20)


def _last_line(job: Job, number: int) -> str:
    """Of a worker whose supervisor never began: what the interpreter said."""
    try:
        lines = job.log(number).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else f"It never began, and left nothing in {job.log(number)}."
