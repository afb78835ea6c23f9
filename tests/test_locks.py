import threading
import time

import pytest

from eradio.errors import MachineError
from eradio.locks import DeviceLock, locked


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


def test_who_waits_is_as_patient_as_the_holder_promised(tmp_path):
    thread = holding(DeviceLock(tmp_path, "cpu").measuring(5.0), 0.6)
    with DeviceLock(tmp_path, "cpu", timeout=0.05).training():
        assert not thread.is_alive()
    thread.join()


@pytest.mark.parametrize("promise", [0.0, 0.2])
def test_a_holder_that_promised_less_is_complained_of(tmp_path, promise):
    thread = holding(DeviceLock(tmp_path, "cpu").measuring(promise), 3.0)
    start = time.monotonic()
    words = r"cpu.turnstile for more than 0.1 seconds"
    with pytest.raises(MachineError, match=words), DeviceLock(tmp_path, "cpu", timeout=0.1).training():
        pass
    assert time.monotonic() - start < 2.9
    thread.join()


def test_a_promise_ends_with_its_holder(tmp_path):
    with locked(tmp_path / "lock", promise=100.0):
        pass
    thread = holding(locked(tmp_path / "lock"), 3.0)
    with pytest.raises(MachineError), locked(tmp_path / "lock", timeout=0.1):
        pass
    thread.join()
