"""Workers as one Slurm job array: one script, submitted with sbatch; no accounting database is needed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.files import write_atomically
from eradio.study.launchers import slurm_queue
from eradio.study.launchers.base import THREADS, Job, Launched, WorkerState, launched_by, supervised, usual_checks
from eradio.study.launchers.slurm_queue import Array
from eradio.study.supervisor import read_note

_OWN = (
    "array",
    "chdir",
    "export",
    "job-name",
    "open-mode",
    "output",
    "error",
    "requeue",
    "no-requeue",
    "signal",
    "wrap",
    "parsable",
)
"""Options of sbatch that the script sets itself, because restarts, `eradio status` and `eradio stop` rest on them."""

_OPTION = re.compile(r"^--([a-z][a-z0-9-]*)(=[^\x00-\x1f\x7f\"\\]*)?$")
_PLAIN = re.compile(r"^[^\x00-\x1f\x7f\"\\]*$")
_ALWAYS = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_TASK = "$SLURM_ARRAY_TASK_ID"
_POLL_SECONDS = 0.5
_KILLED_SECONDS = 45.0
"""More than Slurm's usual KillWait, after which it ends a cancelled task for good."""


class SlurmLauncher:
    """Submits the workers as a job array."""

    name = "slurm"

    def check(self, job: Job) -> list[str]:
        """What cannot be had, as sentences; submits nothing."""
        wrong = [*usual_checks(job), *_refused_options(job.resources.options)]
        for key, value in (("partition", job.resources.partition), ("account", job.resources.account)):
            if value is not None and not re.fullmatch(r"[\w.,@-]+", value, re.ASCII):
                wrong.append(f"'{value}' is no name of a Slurm {key}. Correct it.")
        limit, notice = job.resources.minutes, job.resources.notice_seconds
        if limit is not None and limit * 60 <= notice:
            wrong.append(
                f"A time limit of {limit} minutes leaves nothing before the notice of {notice} seconds. Give more "
                "minutes, or a shorter notice."
            )
        for folder in {job.folder, job.run}:
            if not _PLAIN.match(str(folder)):
                wrong.append(f"Slurm cannot take the quotes or backslashes in {folder}. Use another folder.")
        return wrong

    def missing(self) -> list[str]:
        """What this machine lacks to submit any job, as sentences."""
        if shutil.which("sbatch") is not None:
            return []
        return ["There is no sbatch here. Run this where Slurm's commands are, such as a login node."]

    def render(self, job: Job) -> str:
        """Exactly what `launch` would submit: the script, whose second line is the command that submits it."""
        asked = job.resources
        options = [
            f"--job-name={_name(job)}",
            f"--array=0-{job.workers - 1}",
            f"--chdir={job.folder}",
            f"--output={_pattern(job)}",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR2@{asked.notice_seconds}",
            f"--export={'ALL' if job.environment is None else ','.join(dict.fromkeys((*_ALWAYS, *job.environment)))}",
            "--ntasks=1",
            f"--cpus-per-task={asked.cpus}",
            *([f"--gres=gpu:{asked.gpus}"] if asked.gpus else []),
            *([f"--mem={asked.memory_mb}M"] if asked.memory_mb else []),
            *([f"--time={asked.minutes}"] if asked.minutes else []),
            *([f"--partition={asked.partition}"] if asked.partition else []),
            *([f"--account={asked.account}"] if asked.account else []),
            *asked.options,
        ]
        threads = " ".join(f"{name}={asked.cpus}" for name in THREADS)
        return "\n".join(
            [
                "#!/bin/bash",
                f"# {shlex.join(_submission(job))}",
                *(f"#SBATCH {_directive(option)}" for option in options),
                f"export {threads}",
                # In place of the shell, so that --signal=B: reaches what keeps the worker alive.
                f"exec {_task_command(job)}",
                "",
            ]
        )

    def launch(self, job: Job) -> Launched:
        """Submit the array.

        Raises:
            EradioError: sbatch refused; the script cannot be written.
        """
        write_atomically(_script(job), lambda path: path.write_text(self.render(job), encoding="utf-8"))
        said = subprocess.run(_submission(job), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if said.returncode:
            _script(job).unlink()  # so that nothing is left of a launch that never was
            words = (said.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise EradioError(f"Slurm refused the job ({words}). Correct the options, then run it again.")
        number, _, cluster = said.stdout.strip().splitlines()[-1].partition(";")
        array = Array(job=number, cluster=cluster, name=_name(job), user=str(os.getuid()))
        return launched_by("slurm", job, array.model_dump())

    def state(self, launched: Launched) -> list[WorkerState]:
        """How each worker is: first what is queued or runs, then what ended ones said, then what Slurm remembers."""
        job, array = launched.job, Array.parse(launched.details, launched.job.name)
        try:
            queued = slurm_queue.queued(array)
        except slurm_queue.SilentError as error:
            return [WorkerState(number=task, state="unknown", words=str(error)) for task in range(job.workers)]
        found: dict[int, WorkerState] = {}
        for task in range(job.workers):
            note = read_note(job.note(task))
            if task in queued:
                words = note.words if note is not None and queued[task].state == "running" else queued[task].words
                found[task] = WorkerState(number=task, state=queued[task].state, words=words)
            elif note is not None and note.state == "ended":
                found[task] = WorkerState(number=task, state="ended", status=note.status, words=note.words)
        missing = [task for task in range(job.workers) if task not in found]
        remembered = slurm_queue.remembered(array, job.workers) if missing else {}
        for task in missing:
            found[task] = remembered.get(task) or WorkerState(
                number=task, state="unknown", words="Slurm has forgotten it, and it left no last words."
            )
        return [found[task] for task in range(job.workers)]

    def stop(self, launched: Launched, patience: float) -> None:
        """Take back what waits, ask what runs to keep what it did, and cancel what has not ended in time.

        Raises:
            EradioError: Slurm does not answer.
        """
        array = Array.parse(launched.details, launched.job.name)
        try:
            if not _emptied(array, patience):
                slurm_queue.cancel(array)
                _emptied(array, _KILLED_SECONDS, ask=False)
        except slurm_queue.SilentError as error:
            raise EradioError(f"{error} Run the same command where Slurm's commands work.") from None


def _emptied(array: Array, seconds: float, ask: bool = True) -> bool:
    """Wait until no task waits or runs; whether that was so in time.

    Asked again and again: a signal is lost on a task that is just being started, and one may just be queued again.
    """
    deadline = time.monotonic() + seconds
    while left := slurm_queue.queued(array):
        if time.monotonic() > deadline:
            return False
        kinds = {worker.state for worker in left.values()}
        if ask and "waiting" in kinds:
            slurm_queue.cancel(array, "--state=PENDING")
        if ask and "running" in kinds:
            slurm_queue.cancel(array, "--batch", "--signal=TERM", "--state=RUNNING")
        time.sleep(_POLL_SECONDS)
    return True


def _refused_options(options: tuple[str, ...]) -> list[str]:
    wrong = []
    for option in options:
        match = _OPTION.match(option)
        if match is None:
            wrong.append(f"'{option}' is no option of sbatch that can be passed on. Write it as --name=value.")
        elif any(own.startswith(match[1]) for own in _OWN):  # sbatch takes the beginning of a name for it
            wrong.append(f"--{match[1]} is set by the launcher itself. Leave it out.")
    return wrong


def _name(job: Job) -> str:
    """What Slurm calls the array: no other launch of this user has the same, also not one of another run folder."""
    return f"eradio-{job.study}-{job.name}-{digest_of(str(job.run))[:6]}"


def _script(job: Job) -> Path:
    return job.logs / "job.sh"


def _submission(job: Job) -> list[str]:
    return ["sbatch", "--parsable", str(_script(job))]


def _pattern(job: Job) -> str:
    """The logs as sbatch writes them: it replaces %a by the task, and %% by one sign."""
    return str(job.log("\0")).replace("%", "%%").replace("\0", "%a")


def _directive(option: str) -> str:
    """An option as sbatch reads it in a script: quotes hold spaces and number signs together."""
    return option if re.fullmatch(r"[\w./:=,%@+-]*", option, re.ASCII) else f'"{option}"'


def _task_command(job: Job) -> str:
    """The command line of one task, for the shell: the only thing it fills in is the task's number."""
    words = supervised(job, sys.executable, "\0")
    words[2] = "eradio.study.launchers.slurm_task"
    return " ".join(
        shlex.quote(word).replace("\0", f"'\"{_TASK}\"'") if "\0" in word else shlex.quote(word) for word in words
    )
