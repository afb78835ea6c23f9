"""Energy, where the machine counts it: RAPL for processors, NVML for GPUs; silence elsewhere."""

import contextlib
from pathlib import Path

from eradio.profile.engines.base import Device
from eradio.profile.nvml import GpuSensor
from eradio.profile.record import gpu_uuid

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules since it was made, of the whole package or GPU, whatever else ran on it."""

    def __init__(self, device: Device, *, powercap: Path = _POWERCAP) -> None:
        self._counters = _gpu_counter() if device == "cuda" else _rapl_counters(powercap)
        self._before = [counter.joules() for counter in self._counters]

    def joules(self) -> float | None:
        """None where there is no counter, or this user may not read it."""
        total = 0.0
        for counter, before in zip(self._counters, self._before, strict=True):
            now = counter.joules()
            if now is None or before is None:
                return None
            total += (now - before) % counter.wraps
        return total if self._counters else None


class _Rapl:
    """One package (Linux power capping framework, Documentation/power/powercap)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self.wraps = float("inf")
        with contextlib.suppress(OSError, ValueError):
            self.wraps = int((folder / "max_energy_range_uj").read_text()) / 1e6

    def joules(self) -> float | None:
        with contextlib.suppress(OSError, ValueError):
            return int(self._file.read_text()) / 1e6
        return None


class _Nvml:
    """A GPU, by its own count."""

    wraps = float("inf")

    def __init__(self, sensor: GpuSensor) -> None:
        self.joules = sensor.joules


def _rapl_counters(powercap: Path) -> list[_Rapl | _Nvml]:
    """The packages; their parts ("intel-rapl:0:1") are in them, and "psys" has them in it."""
    return [_Rapl(folder) for folder in sorted(powercap.glob("*rapl:*")) if _name(folder).startswith("package")]


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text().strip()
    except OSError:
        return ""


def _gpu_counter() -> list[_Rapl | _Nvml]:
    uuid = gpu_uuid("cuda")
    sensor = None if uuid is None else GpuSensor.opened(uuid)
    return [] if sensor is None else [_Nvml(sensor)]
