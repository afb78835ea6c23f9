"""Writing so that a kill at any moment leaves the old file or the new one, never half of either."""

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from eradio.errors import EradioError, MachineError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk and rename it to `path`.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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


def cache_folder() -> Path:
    """The user's cache folder, which all runs of one host share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eradio"


def sweep(folder: Path) -> None:
    """Remove the temporary files below a folder whose writers were killed."""
    for path in folder.rglob(".*.tmp"):
        writer = path.name.split(".")[-2]
        if writer.isdigit() and not Path("/proc", writer).exists():
            path.unlink(missing_ok=True)


def disk_error(error: OSError, path: Path) -> MachineError:
    """The sentence for an operating system's refusal to write `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(f"No room left to write {path}. Free some space, then run the same command again.")
    return MachineError(f"Cannot write {path}: {error.strerror or error}. Check the folder and its permissions.")


def write_json(path: Path, data: Any) -> None:
    """Write plain data as indented JSON, atomically."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Plain data of a JSON file.

    Raises:
        EradioError: the file cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except ValueError:
        raise EradioError(f"{path} is not valid JSON. Correct or remove the file.") from None
