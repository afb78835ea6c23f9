"""What Slurm knows of the tasks of an array: from squeue, then scontrol, then sacct; each may know nothing."""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Literal

from eradio.description import Description
from eradio.study.launchers.base import WorkerState

_TIMEOUT_SECONDS = 60
_RUNNING = {"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "RESIZING"}
_WAITING = {
    "PENDING",
    "CONFIGURING",
    "SUSPENDED",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
}
_NO_TASK = str(2**32 - 2)
"""What scontrol gives as the task of those that were taken back before they ran, all in one record."""

_FORGOTTEN = re.compile(r"invalid job id|already complet", re.IGNORECASE)


_FORMAT = "%K|%T|%r"
_SACCT = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode")


class SilentError(Exception):
    """A command of Slurm's is not there, or gave no answer; the text is a sentence."""


class Array(Description):
    """A job array of ours. Its number alone is not enough: a controller that lost its memory gives it away again."""

    job: str
    cluster: str
    name: str
    user: str
    """The number of the user it belongs to."""

    @property
    def ours(self) -> tuple[str, str]:
        """Options by which squeue, sacct and scancel leave out what has the same number and is not this array."""
        return f"--name={self.name}", f"--user={self.user}"


def queued(array: Array) -> dict[int, WorkerState]:
    """The tasks that wait or run, by number.

    Raises:
        SilentError: squeue is not there, or the controller does not answer.
    """
    try:
        text = _said(
            "squeue", array.cluster, "--noheader", "--array", f"--jobs={array.job}", *array.ours, f"--format={_FORMAT}"
        )
    except SilentError as error:
        if _FORGOTTEN.search(str(error)):
            return {}
        raise
    return read_squeue(text)


def read_squeue(text: str) -> dict[int, WorkerState]:
    """Lines of `squeue --array --format=%K|%T|%r`: task, state, reason."""
    found = {}
    for line in text.splitlines():
        task, state, reason = (*line.strip().split("|"), "", "")[:3]
        if task.isdigit() and (place := _place(state)) != "ended":
            words = f"It waits in Slurm's queue ({reason})." if place == "waiting" else ""
            found[int(task)] = WorkerState(number=int(task), state=place, words=words)
    return found


def remembered(array: Array, count: int) -> dict[int, WorkerState]:
    """The tasks that Slurm still knows the end of, by number: the controller for minutes, the accounting for months."""
    asked = (
        ("scontrol", ("--oneliner", "show", "job", array.job), partial(_read_ours, array)),
        (
            "sacct",
            (*_SACCT, f"--jobs={array.job}", *array.ours),
            read_sacct,
        ),
    )
    found: dict[int, WorkerState] = {}
    for program, arguments, read in asked:
        try:
            found = {**read(_said(program, array.cluster, *arguments), count), **found}
        except SilentError:  # many small clusters have no accounting
            continue
    return found


def _read_ours(array: Array, text: str, count: int) -> dict[int, WorkerState]:
    """As `read_scontrol`, of the lines of this array: scontrol has no option for that."""
    name, user = f" JobName={array.name} ", re.compile(rf" UserId=[^ ]*\({array.user}\) ")
    return read_scontrol("\n".join(line for line in text.splitlines() if name in line and user.search(line)), count)


def read_scontrol(text: str, count: int) -> dict[int, WorkerState]:
    """Lines of `scontrol --oneliner show job ARRAY`, of an array of `count` tasks."""
    found: dict[int, WorkerState] = {}
    rest: dict[int, WorkerState] = {}
    for line in text.splitlines():
        facts = dict(part.split("=", 1) for part in line.split() if "=" in part)
        state, code = facts.get("JobState", ""), facts.get("ExitCode", "")
        if facts.get("ArrayTaskId") == _NO_TASK:
            rest = {task: _state(task, state, code) for task in range(count)}
            continue
        for task in _tasks(facts.get("ArrayTaskId", ""), count):
            found[task] = _state(task, state, code)
    return {**rest, **found}


def read_sacct(text: str, count: int) -> dict[int, WorkerState]:
    """Lines of `sacct --parsable2 --allocations --format=JobID,State,ExitCode`, of an array of `count` tasks."""
    found = {}
    for line in text.splitlines():
        name, state, code = (*line.strip().split("|"), "", "")[:3]
        for task in _tasks(name.partition("_")[2], count):  # of a task that ran more than once the last run stands last
            found[task] = _state(task, state.split(" ")[0], code)
    return found


def _tasks(text: str, count: int) -> Iterator[int]:
    """The numbers of tasks that never ran stand together, as in [2-4,7%2]."""
    for part in text.strip("[]").partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            yield from range(int(first), min(int(last or first) + 1, count))


def cancel(array: Array, *options: str) -> None:
    """Cancel or signal the tasks of an array; one that has ended already is fine.

    Raises:
        SilentError: scancel is not there, or the controller does not answer.
    """
    try:
        _said("scancel", array.cluster, *options, *array.ours, array.job)
    except SilentError as error:
        if not _FORGOTTEN.search(str(error)):
            raise


def _state(task: int, state: str, code: str) -> WorkerState:
    place = _place(state)
    if place != "ended":
        return WorkerState(number=task, state=place)
    status, _, number = code.partition(":")
    known = int(status) if status.isdigit() else None
    if number.isdigit() and int(number):
        known = 128 + int(number)
    if not known and state != "COMPLETED":  # Slurm gives a cancelled task the code 0 where it never ran
        known = None
    return WorkerState(number=task, state="ended", status=known, words=f"Slurm says {state}.")


def _place(state: str) -> Literal["waiting", "running", "ended"]:
    if state in _WAITING:
        return "waiting"
    return "running" if state in _RUNNING else "ended"


def _said(program: str, cluster: str, *arguments: str) -> str:
    own = [f"--clusters={cluster}"] if cluster else []
    try:
        said = subprocess.run(
            [program, *own, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise SilentError(f"{program} is not there or does not answer.") from None
    if said.returncode:
        words = (said.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SilentError(f"{program} said: {words}.")
    return said.stdout
