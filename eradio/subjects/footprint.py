"""How much memory a network takes by itself: a program that holds nothing else, and what asks it.

In the process that measures several networks, memory that one gave back is used again by the next, and conversions
leave marks. Here a process prepares one network, runs it once, and ends.
"""

import resource
import subprocess
import sys
from pathlib import Path

from eradio.description import Description
from eradio.errors import EradioError
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile.engines import load_engine
from eradio.profile.memory import MemoryWatch, Outcome, data_bytes, free_bytes
from eradio.profile.ready import job_of, prepared_alone
from eradio.profile.target import Target
from eradio.subjects.find import find
from eradio.subjects.pictures import calibration_for

_PATIENCE = 300.0
"""Seconds for one network; what takes longer at some batch is not what anyone runs."""

_NO_MEMORY = 3
"""Exit status of a process that ran out of it."""


class Footprint(Description):
    """What a process found."""

    outcome: Outcome
    peak_bytes: int | None = None
    """None also where the system keeps no count."""


class _Request(Description):
    name: str
    window: str | None
    target: Target
    calibration: Path | None
    free: int | None


def footprint(name: str, target: Target, window: str | None = None, calibration: Path | None = None) -> Footprint:
    """Prepare a network in a process of its own and run it once; the device is held alone meanwhile.

    On the CPU the process may take what is free now and no more, so that no other one suffers.

    Args:
        name: as `find` takes it.
        target: engine, device, precision, batch and resolution.
        window: as `find` takes it.
        calibration: a folder of pictures for int8; the embedded scenes if None.

    Raises:
        EradioError: the network could not be prepared, for another reason than memory.
    """
    free = free_bytes("cpu") if target.device == "cpu" else None
    request = _Request(name=name, window=window, target=target, calibration=calibration, free=free)
    command = [sys.executable, "-m", "eradio.subjects.footprint"]
    with DeviceLock(default_lock_folder(), target.device).measuring(_PATIENCE):
        try:
            done = subprocess.run(
                command, input=request.model_dump_json(), capture_output=True, text=True, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            return Footprint(outcome="too slow")
    if done.returncode == _NO_MEMORY or done.returncode < 0:  # what C++ cannot allocate ends by a signal
        return Footprint(outcome="no memory")
    if done.returncode != 0:
        raise EradioError((done.stderr.strip().splitlines() or [f"{name} ended with status {done.returncode}."])[-1])
    return Footprint.model_validate_json(done.stdout.splitlines()[-1])


def main() -> None:
    """Answer one request from standard input.

    The process starts like the one that asked, in its folder, so names mean the same.
    """
    request = _Request.model_validate_json(sys.stdin.read())
    try:
        print(Footprint(outcome="fits", peak_bytes=_peak(request)).model_dump_json())
    except MemoryError:
        sys.exit(_NO_MEMORY)
    except (RuntimeError, EradioError) as error:
        words = str(error)
        if any(sign in words.lower() for sign in ("memory", "alloc")):
            sys.exit(_NO_MEMORY)
        print(" ".join(words.split()), file=sys.stderr)
        sys.exit(1)


def _peak(request: _Request) -> int | None:
    target = request.target
    load_engine(target.engine)
    job = job_of(target, calibration_for(target, request.calibration))
    watch = MemoryWatch(target.device)
    held = data_bytes()
    if request.free is not None and held is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (held + request.free, held + request.free))
    with prepared_alone(find(request.name, target.resolution, request.window), target.engine, job) as prepared:
        watch.forget()
        prepared.run()
        return watch.peak_bytes()


if __name__ == "__main__":
    main()
