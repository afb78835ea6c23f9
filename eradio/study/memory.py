"""What memory a candidate needs, told apart from what others held when it was tried."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from eradio.errors import MachineError, NetworkError, NoMemoryError, memory_was_short
from eradio.files import write_json
from eradio.profile.engines.base import Device
from eradio.profile.memory import Footprint, free_bytes
from eradio.study.holding import Claim
from eradio.study.kept import kept
from eradio.study.run import Run
from eradio.subjects.footprint import footprint

_ROOM_SECONDS = 60.0
_LOOK_SECONDS = 2.0


class CrowdedError(NetworkError):
    """It could not be run, perhaps for want of what others held: another attempt may tell."""


@contextmanager
def shared_memory(what: str) -> Iterator[None]:
    """Meanwhile it cannot be told whether memory is short for what others hold, or for a network's own.

    Raises:
        NoMemoryError: it was.
    """
    try:
        yield
    except Exception as error:
        if not memory_was_short(error):
            raise
        why = " ".join(str(error).split())[:200]
        raise NoMemoryError(f"{what} ran out of memory ({why}). Use fewer workers here.") from error


def peak_bytes(run: Run, claim: Claim) -> int:
    """Memory of a process that runs a claimed network and holds nothing else; kept, so that it is asked once.

    An attempt after the first waits a while until as much is free as the constraint allows.

    Args:
        run: with a constraint on memory.
        claim: of the network.

    Raises:
        NetworkError: it takes more than the constraint allows, or cannot be run.
        CrowdedError: it cannot be told, since less was free than that, or it took too long.
        MachineError: the system keeps no count of memory.
    """
    path, megabytes = claim.folder / "memory.json", run.config.constraints.memory_mb
    assert megabytes is not None
    found = kept(Footprint, path)
    if found is None:
        run.rest()
        free = _awaited(megabytes * 1e6, run.config.target.device, _ROOM_SECONDS if claim.attempt > 1 else 0.0)
        with run.device.measuring():
            found = footprint(str(claim.folder / "architecture.json"), run.config.target)
        if found.outcome == "no memory":
            if free is None or free >= megabytes * 1e6:
                raise NetworkError(f"out of memory when a process was to run it by itself, within {megabytes:g} MB")
            raise CrowdedError(f"out of memory with {free / 1e6:.0f} MB free, of {megabytes:g} MB that it may take")
        if found.outcome == "too slow":
            raise CrowdedError(f"its memory cannot be known: {found.missing()}")
        if found.outcome == "refused":
            raise NetworkError(f"its memory cannot be known: {found.missing()}")
        write_json(path, found.model_dump(mode="json"))
    if found.peak_bytes is None:
        raise MachineError("This system keeps no count of memory. Leave memory_mb out of the study's constraints.")
    return found.peak_bytes


def _awaited(wanted: float, device: Device, patience: float) -> int | None:
    """What is free as soon as it is enough, or when patience is at its end; None where the system keeps no count."""
    deadline = time.monotonic() + patience
    while (free := free_bytes(device)) is not None and free < wanted and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return free
