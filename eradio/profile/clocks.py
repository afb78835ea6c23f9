"""The machine at one moment, as far as it tells: stolen time, clocks, and what holds a GPU back."""

import contextlib
import importlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REASONS = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "software thermal slowdown",
    "HwThermalSlowdown": "hardware thermal slowdown",
    "HwPowerBrakeSlowdown": "power brake",
}
"""NVML's clocks-event reasons that slow a busy GPU, without prefix; idleness and a user's own limits do not."""


@dataclass(frozen=True)
class Gpu:
    """A GPU at one moment."""

    sm_mhz: float | None
    reasons: tuple[str, ...] = ()
    """What holds its clock back."""
    watts: float | None = None
    celsius: float | None = None


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
    gpu: Gpu | None = None


def state(gpu: str | None = None, *, proc: Path = Path("/proc"), system: Path = Path("/sys")) -> State:
    """The machine now.

    Args:
        gpu: UUID of the GPU to ask about, as NVML writes it ("GPU-..."); None for none.
        proc: where the kernel tells of processes.
        system: where it tells of devices.
    """
    stolen, others = _processors(proc)
    return State(time.monotonic(), stolen, others, _cpu_mhz(proc, system), _gpu(gpu) if gpu else None)


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


def _gpu(uuid: str) -> Gpu | None:
    """From NVML, by way of the package `pynvml` if it is installed; every answer may be missing."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # no package, no driver, no GPU: its errors share no base class with ours
        return None
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        milliwatts = _asked(nvml, "nvmlDeviceGetPowerUsage", handle)
        return Gpu(
            sm_mhz=_asked(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM),
            reasons=_reasons(nvml, handle),
            watts=None if milliwatts is None else milliwatts / 1e3,
            celsius=_asked(nvml, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
        )
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()


def _reasons(nvml: Any, handle: Any) -> tuple[str, ...]:
    """Drivers before 535 call them throttle reasons, later ones clocks-event reasons; the bits are the same."""
    for ask, prefix in (
        ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlClocksEventReason"),
        ("nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlClocksThrottleReason"),
    ):
        bits = _asked(nvml, ask, handle)
        if bits is not None:
            names = [(getattr(nvml, prefix + name, 0), words) for name, words in _REASONS.items()]
            return tuple(words for bit, words in names if int(bits) & bit)
    return ()


def _asked(nvml: Any, function: str, *given: Any) -> float | None:
    """An answer of NVML's; None where this package or this GPU has none."""
    with contextlib.suppress(nvml.NVMLError, AttributeError):
        return float(getattr(nvml, function)(*given))
    return None
