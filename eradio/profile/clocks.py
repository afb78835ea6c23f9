"""The machine at one moment, as far as it tells: stolen time, other processes, and the processors' clock."""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class State:
    """A machine at one moment; None for what it does not tell."""

    seconds: float
    """Of a clock that only goes forward."""
    stolen: float | None = None
    """Seconds that the host has given to other virtual machines since this one started, over all processors."""
    others: float | None = None
    """Processor seconds that all other processes have used since the machine started."""
    cpu_mhz: float | None = None
    """Median over the processors this process may use."""


def state(*, proc: Path = Path("/proc"), system: Path = Path("/sys")) -> State:
    """The machine now.

    Args:
        proc: where the kernel tells of processes.
        system: where it tells of devices.
    """
    stolen, others = _processors(proc)
    return State(time.monotonic(), stolen, others, _cpu_mhz(proc, system))


def _processors(proc: Path) -> tuple[float | None, float | None]:
    """Stolen and other processes' seconds, from the ticks in the first line of /proc/stat (man 5 proc_stat)."""
    with contextlib.suppress(OSError, ValueError):
        ticks = [int(word) for word in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, _, _, irq, softirq, stolen = (count / os.sysconf("SC_CLK_TCK") for count in ticks)
        return stolen, user + nice + system + irq + softirq - time.process_time()
    return None, None


def _cpu_mhz(proc: Path, system: Path) -> float | None:
    """From cpufreq where the kernel steers the clock, else what /proc/cpuinfo says of it."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with contextlib.suppress(OSError, ValueError):
        folder = system / "devices/system/cpu"
        found = [int((folder / f"cpu{one}/cpufreq/scaling_cur_freq").read_text()) / 1e3 for one in usable]
        return _middle(found)
    with contextlib.suppress(OSError, ValueError):
        said = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", (proc / "cpuinfo").read_text(), re.MULTILINE)
        return _middle([float(said[one]) for one in usable if one < len(said)])
    return None


def _middle(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
