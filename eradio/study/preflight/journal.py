"""What can be wrong with a journal file: a torn last line, a line that cannot be read, a lock that was left."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock

from eradio.errors import MachineError

_LOOK_SECONDS = 2.0
_BREAKING_SECONDS = 30
"""After which Optuna removes a lock by force."""


def mend_last_line(path: Path) -> str | None:
    """Set aside what a writer left of its last line when the disk was full or its host was lost.

    Optuna would glue the next record to it and lose that one too. It is cut off under the journal's own lock, and kept
    beside the journal.

    Returns:
        What was done, or None if the journal ends as it should or does not exist.

    Raises:
        OSError: the journal cannot be read or written.
    """
    if not _torn(path):
        return None
    lock = JournalFileSymlinkLock(str(path), grace_period=_BREAKING_SECONDS)
    lock.acquire()
    try:
        # Another process may have been in the middle of writing, or mended it, before we held the lock.
        if not _torn(path):
            return None
        with path.open("r+b") as handle:
            end = _complete(handle.read())
            handle.seek(end)
            rest = handle.read()
            kept = path.with_name(f"{path.name}.torn-{time.time_ns()}")
            kept.write_bytes(rest)
            handle.truncate(end)
            os.fsync(handle.fileno())
    finally:
        lock.release()
    return f"The last line of {path} was torn: its {len(rest)} bytes were cut off and kept in {kept}."


def check_lines(path: Path) -> None:
    """Read every complete line.

    Raises:
        MachineError: one cannot be read; the text says which.
    """
    if not path.exists():
        return
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith(b"\n"):
                return  # being written at this moment
            try:
                json.loads(line)
            except ValueError:
                raise MachineError(
                    f"Line {number} of {path} cannot be read, so no trial after it is found. End all workers, make a "
                    "copy of the file, and remove that line."
                ) from None


def check_lock_file(
    path: Path, *, seconds: float = _LOOK_SECONDS, sleep: Callable[[float], object] = time.sleep
) -> str | None:
    """A warning where a writer that was killed left its lock: the same one is there for longer than a write takes.

    Args:
        path: the journal.
        seconds: how long to look.
        sleep: waits for so many seconds.
    """
    lock = path.with_name(f"{path.name}.lock")
    first = _mark(lock)
    if first is None:
        return None
    for _ in range(10):
        sleep(seconds / 10)
        if _mark(lock) != first:
            return None
    return (
        f"{lock} has been there for a while, as a worker leaves it that is killed while it writes. It is removed by "
        f"itself at the next write, which waits {_BREAKING_SECONDS} seconds; remove it now if no worker runs on any "
        "host."
    )


def _mark(lock: Path) -> tuple[int, int] | None:
    """What tells one lock from the next; it is a link, and not what it points to."""
    try:
        found = lock.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) != b"\n"


def _complete(content: bytes) -> int:
    """Bytes up to and with the last line's end."""
    return content.rfind(b"\n") + 1
