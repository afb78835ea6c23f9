import os
import threading
import time

import pytest

from eradio.errors import MachineError, PassingError
from eradio.locks import DeviceLock, default_lock_folder, locked


def holding(context, seconds):
    """A thread that holds a lock, and an event that is set once it does."""
    held = threading.Event()

    def hold():
        with context:
            held.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return thread


def test_whoever_gives_signs_of_life_is_waited_for(tmp_path):
    thread = holding(DeviceLock(tmp_path, "cpu").measuring(), 0.6)
    with DeviceLock(tmp_path, "cpu", timeout=0.05).training():
        assert not thread.is_alive()
    thread.join()


def test_a_sign_of_life_is_given_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr("eradio.locks._BEAT_SECONDS", 0.05)
    monkeypatch.setattr("eradio.locks._BELIEVED_SECONDS", 1.0)
    thread = holding(DeviceLock(tmp_path, "cpu").measuring(), 2.5)
    with DeviceLock(tmp_path, "cpu", timeout=0.05).training():
        assert not thread.is_alive()
    thread.join()


def test_a_holder_that_gives_none_is_complained_of(tmp_path, monkeypatch):
    """As a process that was stopped while it held the lock: its last sign is believed for a while, and no longer."""
    monkeypatch.setattr("eradio.locks._BELIEVED_SECONDS", 0.2)
    thread = holding(DeviceLock(tmp_path, "cpu").measuring(), 3.0)
    start = time.monotonic()
    words = r"cpu.turnstile for more than 0.1 seconds"
    with pytest.raises(PassingError, match=words), DeviceLock(tmp_path, "cpu", timeout=0.1).training():
        pass
    assert time.monotonic() - start < 2.9
    thread.join()


def test_nobody_else_s_folder_or_link_is_taken_for_a_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("eradio.locks.tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("eradio.locks.os.path.isdir", lambda path: False)
    monkeypatch.setattr("eradio.locks.os.getuid", lambda: os.geteuid() + 1)
    with pytest.raises(MachineError, match="not this user's own folder"):
        default_lock_folder()
    monkeypatch.undo()
    precious = tmp_path / "precious"
    precious.write_text("data")
    (tmp_path / "cpu.turnstile").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"), DeviceLock(tmp_path, "cpu").measuring():
        pass
    assert precious.read_text() == "data"
    assert default_lock_folder().stat().st_mode & 0o077 == 0


def test_signs_of_life_end_with_their_holder(tmp_path):
    with locked(tmp_path / "lock", beats=True):
        pass
    thread = holding(locked(tmp_path / "lock"), 3.0)
    with pytest.raises(MachineError), locked(tmp_path / "lock", timeout=0.1):
        pass
    thread.join()
