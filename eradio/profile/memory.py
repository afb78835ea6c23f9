"""How much memory a network takes: its weights, and what the process holds at most while it runs."""

import contextlib
import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from eradio.description import Description
from eradio.profile.engines.base import Device, Precision

_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


Outcome = Literal["fits", "no memory", "too slow", "refused"]


class Footprint(Description):
    """What came of running a network in a process of its own."""

    outcome: Outcome
    peak_bytes: int | None = None
    """None also where the system keeps no count."""
    reason: str | None = None
    """Why it was refused."""

    def missing(self) -> str | None:
        """Why there is no peak, in words; None where there is one, or the system keeps no count."""
        words = {"no memory": "it does not fit the memory that is free", "too slow": "it took too long"}
        return self.reason if self.outcome == "refused" else words.get(self.outcome)


class LargestBatch(Description):
    """How many pictures a call can have, to within a sixteenth."""

    pictures: int
    """0 if not even one fits."""
    beyond: Literal["no memory", "too slow", "refused", "not tried"]
    """What more pictures met."""


def weights_bytes(module: nn.Module, precision: Precision) -> int:
    """Bytes of all parameters, each stored in a precision."""
    return sum(parameter.numel() for parameter in module.parameters()) * _BYTES[precision]


class MemoryWatch:
    """Memory of this process from now on (on a GPU: of the whole device, as engines bring allocators of their own).

    On the CPU it is the kernel's high-water mark of resident memory, which can be set back (man 5 proc, clear_refs).
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before = self._settled()

    def forget(self) -> None:
        """Leave out what was held between then and now and is given back already: a conversion's, say."""
        self._settled()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak_bytes(self) -> int | None:
        """The most held since `forget`, beyond what was held at first; None where the system keeps no count."""
        if self._before is None:
            return None
        if self._device == "cuda":
            return max(0, self._before - int(torch.cuda.mem_get_info()[0]))
        highest = _kilobytes("VmHWM")
        return None if highest is None else max(0, highest * 1024 - self._before)

    def _settled(self) -> int | None:
        """Free bytes of a GPU, or resident ones, once everything that is merely kept for later is given back."""
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()
            return int(torch.cuda.mem_get_info()[0])
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        resident = _kilobytes("VmRSS")
        return None if resident is None else resident * 1024


def free_bytes(device: Device) -> int | None:
    """Memory that could still be taken: of the GPU, or of this host or its control group, whichever is less."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    known = []
    with contextlib.suppress(OSError, AttributeError):
        known.append(int(re.search(r"MemAvailable:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024)  # type: ignore[union-attr]
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        cached = int(re.search(r"^inactive_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE).group(1))  # type: ignore[union-attr]
        used = int((group / "memory.current").read_text()) - cached  # the page cache gives way
        known.append(int((group / "memory.max").read_text()) - used)
    return min(known, default=None)


def data_bytes() -> int | None:
    """Address space of this process that RLIMIT_DATA counts; None where the system does not tell."""
    found = _kilobytes("VmData")
    return None if found is None else found * 1024


def largest_batch(attempt: Callable[[int], Outcome], most: int) -> LargestBatch:
    """The largest batch that fits, to within a sixteenth: doubled until one does not, then halved in between.

    Args:
        attempt: tries a batch.
        most: the last to try.
    """
    low, high = 0, 1
    while (outcome := attempt(high)) == "fits":
        low, high = high, min(2 * high, most)
        if low == most:
            return LargestBatch(pictures=low, beyond="not tried")
    beyond = outcome
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        outcome = attempt(middle)
        if outcome == "fits":
            low = middle
        else:
            high, beyond = middle, outcome
    return LargestBatch(pictures=low, beyond=beyond)


def _kilobytes(field: str) -> int | None:
    with contextlib.suppress(OSError):
        found = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(found.group(1)) if found else None
    return None
