"""How much memory a network takes by itself: a program that holds nothing else, and what asks it.

In the process that measures several networks, memory that one gave back is used again by the next, and conversions
leave marks. Here a process prepares one network, runs it once, and ends.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from eradio.description import Description
from eradio.errors import memory_was_short, short_of_memory
from eradio.profile.engines import load_engine
from eradio.profile.memory import Footprint, MemoryWatch, data_bytes, free_bytes
from eradio.profile.ready import job_of, prepared_alone
from eradio.profile.target import Target
from eradio.subjects.find import find
from eradio.subjects.pictures import calibration_for

_PATIENCE = {"tensorrt": 3900.0}
_USUAL_PATIENCE = 600.0
"""Seconds for one network with what loads it; what takes longer at some batch is not what anyone runs."""

_NO_MEMORY = 3
"""Exit status of a process that ran out of it."""

_CRASHES = tuple(-number for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS))
"""How a process ends whose libraries do not look at what an allocation gave them."""


class _Request(Description):
    name: str
    window: str | None
    target: Target
    calibration: Path | None
    free: int | None


def footprint(name: str, target: Target, window: str | None = None, calibration: Path | None = None) -> Footprint:
    """Prepare a network in a process of its own and run it.

    On the CPU the process may take what is free now and no more, so that no other one suffers.

    Args:
        name: as `find` takes it.
        target: engine, device, precision, batch and resolution.
        window: as `find` takes it.
        calibration: a folder of pictures for int8; the embedded scenes if None.
    """
    free = free_bytes("cpu") if target.device == "cpu" else None
    request = _Request(name=name, window=window, target=target, calibration=calibration, free=free)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "eradio.subjects.footprint"],  # -P: no file of the user's is taken for a library
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env=os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"},  # helpers of a compiler die without saying of what
    )
    try:
        said, complained = process.communicate(
            request.model_dump_json(), timeout=_PATIENCE.get(target.engine, _USUAL_PATIENCE)
        )
    except subprocess.TimeoutExpired:
        return Footprint(outcome="too slow")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # compilers and builders that it started
        process.wait()
    if process.returncode == _NO_MEMORY or process.returncode in _CRASHES:
        return Footprint(outcome="no memory")
    if process.returncode != 0 and short_of_memory(complained):  # a library that ends the process itself
        return Footprint(outcome="no memory")
    last = said.strip().rpartition("\n")[2]
    if process.returncode == 0 and last.startswith("{"):
        return Footprint.model_validate_json(last)
    reason = (complained.strip().splitlines() or [f"it ended with status {process.returncode}"])[-1]
    return Footprint(outcome="refused", reason=reason[:300])


def main() -> None:
    """Answer one request from standard input.

    The process starts in the folder of the one that asked, so names mean the same.
    """
    request = _Request.model_validate_json(sys.stdin.read())
    try:
        found = Footprint(outcome="fits", peak_bytes=_peak(request))
    except Exception as error:  # libraries say that memory is short with anything
        if memory_was_short(error):
            sys.exit(_NO_MEMORY)
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        sys.exit(1)
    print(f"\n{found.model_dump_json()}")


def _peak(request: _Request) -> int | None:
    target = request.target
    load_engine(target.engine)
    if request.free is not None:
        _take_no_more_than(request.free)
    job = job_of(target, calibration_for(target, request.calibration))
    watch = MemoryWatch(target.device)
    with prepared_alone(find(request.name, target.resolution, request.window), target.engine, job) as prepared:
        prepared.run()  # the first call may try algorithms
        watch.forget()
        prepared.run()
        return watch.peak_bytes()


def _take_no_more_than(free: int) -> None:
    """From now on; nothing happens where the system does not count it."""
    held = data_bytes()
    if held is not None:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + free
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
        )


if __name__ == "__main__":
    main()
