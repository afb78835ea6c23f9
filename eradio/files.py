"""Writing so that a kill at any moment leaves the old file or the new one, never half of either."""

import errno
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from eradio.errors import EradioError, MachineError

_WRITER = re.compile(r"\.(?P<pid>\d+)@(?P<where>[^/]+)\.tmp$")
_ABANDONED = 86400.0


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk and rename it to `path`.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    temporary = temporary_of(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_of(path: Path, pid: int) -> Path:
    """Where a process of this host writes what is to become `path`."""
    return path.with_name(f".{path.name}.{pid}@{_here()}.tmp")


def cache_folder() -> Path:
    """The user's cache folder, which all runs of one host share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eradio"


def sweep(folder: Path) -> None:
    """Remove the temporary files below a folder whose writers were killed.

    Whether a process of another host lives cannot be seen from here; what it has left for a day is nobody's.
    """
    for path in folder.rglob(".*.tmp"):
        writer = _WRITER.search(path.name)
        with suppress(FileNotFoundError):
            if writer is None:
                continue
            ours = writer["where"] == _here()
            if not Path("/proc", writer["pid"]).exists() if ours else time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def _here() -> str:
    """Where process numbers mean the same: this host, and this container of it."""
    host = os.uname().nodename
    try:
        return f"{host}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host


def disk_error(error: OSError, path: Path) -> MachineError:
    """The sentence for an operating system's refusal to write `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(f"No room left to write {path}. Free some space, then run the same command again.")
    return MachineError(f"Cannot write {path}: {error.strerror or error}. Check the folder and its permissions.")


def write_json(path: Path, data: Any) -> None:
    """Write plain data as indented JSON, atomically."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def parsed_json(text: str | bytes) -> Any:
    """Plain data of JSON, in half the time that the standard library takes.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return from_json(text)
    except ValueError:  # also of half a pair of surrogates, as in the name of a file that is no text
        return json.loads(text)


def read_json(path: Path) -> Any:
    """Plain data of a JSON file.

    Raises:
        EradioError: the file cannot be read, or is no JSON.
    """
    try:
        return parsed_json(path.read_bytes())
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except ValueError:
        raise EradioError(f"{path} is not valid JSON. Correct or remove the file.") from None
