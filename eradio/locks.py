"""Locks that the kernel gives back when their holder dies, so that none is ever stale."""

import fcntl
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from eradio.errors import MachineError, PassingError

_POLL_SECONDS = 0.005
_BEAT_SECONDS, _BELIEVED_SECONDS = 20.0, 60.0


@contextmanager
def locked(path: Path, *, shared: bool = False, timeout: float | None = None, beats: bool = False) -> Iterator[None]:
    """Hold an advisory lock on `path` (created if missing).

    Args:
        path: the file to lock.
        shared: together with other shared holders.
        timeout: seconds to wait, beyond the holder's last sign of life; None for ever.
        beats: give signs of life while it is held, for whoever holds it for long and is neither stopped nor stuck.

    Raises:
        PassingError: another process held the lock for `timeout` seconds without one.
    """
    handle = _open(path)
    try:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _take(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                if (left := _believed(path)) > 0:
                    deadline = time.monotonic() + left + timeout
                    continue
                raise PassingError(
                    f"Another process has held {path} for more than {timeout:g} seconds. "
                    f"Look for a stopped eradio process (state T in ps), continue or end it, then try again."
                )
            time.sleep(_POLL_SECONDS)
        if not shared:
            os.ftruncate(handle, 0)
        with _beating(handle) if beats else nullcontext():
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
    def measuring(self) -> Iterator[None]:
        """Hold the device alone; others wait for as long as this process gives signs of life."""
        turnstile = locked(self._turnstile, timeout=self._timeout, beats=True)
        with turnstile, locked(self._device, timeout=self._timeout, beats=True):
            yield


def default_lock_folder() -> Path:
    """The folder that all eradio processes of this user on this host share; nobody else's may lie in its place.

    Raises:
        MachineError: another user's folder, or a link, does.
    """
    folder = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / f"eradio-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise MachineError(f"{folder} is not this user's own folder, so locks in it are not safe. Remove it.")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def _beating(handle: int) -> Iterator[None]:
    """Write into a lock's file until when its holder is believed to be alive, again and again."""
    done = threading.Event()

    def beat() -> None:
        while True:
            os.pwrite(handle, f"{time.time() + _BELIEVED_SECONDS:.0f}".encode(), 0)
            if done.wait(_BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _believed(path: Path) -> float:
    """Seconds for which a lock's holder is still believed to be alive; nothing if it gives no sign."""
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
