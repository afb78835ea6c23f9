"""Locks that the kernel gives back when their holder dies, so that none is ever stale."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eradio.errors import MachineError

_POLL_SECONDS = 0.005


@contextmanager
def locked(path: Path, *, shared: bool = False, timeout: float | None = None, promise: float = 0.0) -> Iterator[None]:
    """Hold an advisory lock on `path` (created if missing).

    Args:
        path: the file to lock.
        shared: together with other shared holders.
        timeout: seconds to wait, beyond what the holder promised; None for ever.
        promise: seconds after which it will be given back, at the latest; those who wait read it.

    Raises:
        MachineError: another process held the lock for `timeout` seconds longer than it promised.
    """
    handle = _open(path)
    try:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _take(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                if (left := _promised(path)) > 0:
                    deadline = time.monotonic() + left + timeout
                    continue
                raise MachineError(
                    f"Another process has held {path} for more than {timeout:g} seconds. "
                    f"Look for a stopped eradio process (state T in ps), continue or end it, then try again."
                )
            time.sleep(_POLL_SECONDS)
        if not shared:
            os.ftruncate(handle, 0)
        if promise > 0:
            os.pwrite(handle, f"{time.time() + promise:.0f}".encode(), 0)
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """Take an exclusive lock at once and return its handle (close it to release), or None if it is held."""
    handle = _open(path)
    if _take(handle, fcntl.LOCK_EX):
        return handle
    os.close(handle)
    return None


class DeviceLock:
    """One device of one host: shared by training steps, exclusive for measuring, writers first.

    A measurer first takes the turnstile and keeps it, so that no further training step starts; then it waits
    for the steps in flight. Conversion and compilation belong outside.
    """

    def __init__(self, folder: Path, device: str, timeout: float = 300.0) -> None:
        name = device.replace(":", "-")
        self._turnstile = folder / f"{name}.turnstile"
        self._device = folder / f"{name}.lock"
        self._timeout = timeout

    @contextmanager
    def training(self) -> Iterator[None]:
        """Hold the device together with other training steps."""
        with locked(self._turnstile, timeout=self._timeout):
            handle = _open(self._device)
            fcntl.flock(handle, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(handle)

    @contextmanager
    def measuring(self, seconds: float = 0.0) -> Iterator[None]:
        """Hold the device alone, for about so many seconds; others wait that much longer before they complain."""
        turnstile = locked(self._turnstile, timeout=self._timeout, promise=seconds)
        with turnstile, locked(self._device, timeout=self._timeout, promise=seconds):
            yield


def default_lock_folder() -> Path:
    """The folder that all eradio processes of this user on this host share."""
    return Path(tempfile.gettempdir()) / f"eradio-locks-{os.getuid()}"


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _promised(path: Path) -> float:
    """Seconds that the holder of a lock said it would still take; nothing if it said nothing."""
    try:
        return float(path.read_text() or 0) - time.time()
    except (OSError, ValueError):
        return 0.0


def _take(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
