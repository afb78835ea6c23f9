"""What NVIDIA's management library (NVML) tells of a GPU, by way of the package `pynvml` if it is installed."""

import contextlib
import importlib
import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

from eradio.description import Description

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
    """A GPU at one moment; None for what it does not tell."""

    sm_mhz: float | None
    reasons: tuple[str, ...] = ()
    """What holds its clock back."""
    watts: float | None = None
    celsius: float | None = None


class GpuClock(Description):
    """A GPU while networks were timed; None for what it does not tell."""

    slowest_mhz: float | None
    """Of its multiprocessors."""
    median_mhz: float | None
    fastest_mhz: float | None
    watts: float | None
    """Median."""
    celsius: float | None
    """At the end."""


class GpuSensor:
    """Asks one GPU; every answer may be missing."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    @classmethod
    def opened(cls, uuid: str) -> Self | None:
        """The sensor of a GPU; None without the package, a driver, or that GPU.

        Args:
            uuid: as NVML writes it, "GPU-...".
        """
        try:
            nvml: Any = importlib.import_module("pynvml")
            nvml.nvmlInit()  # counted by NVML; what is never shut down ends with the process
            return cls(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid))
        except Exception:  # NVML's errors share no base class with ours
            return None

    def now(self) -> Gpu:
        """The GPU's clock, heat and power at this moment."""
        milliwatts = self._asked("nvmlDeviceGetPowerUsage")
        return Gpu(
            sm_mhz=self._asked("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            reasons=self._reasons(),
            watts=None if milliwatts is None else milliwatts / 1e3,
            celsius=self._asked("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU),
        )

    def joules(self) -> float | None:
        """All that the GPU has used since its driver was loaded."""
        millijoules = self._asked("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1e3

    def _reasons(self) -> tuple[str, ...]:
        """Drivers before 535 call them throttle reasons, later ones clocks-event reasons; the bits are the same."""
        for ask, prefix in (
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlClocksEventReason"),
            ("nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlClocksThrottleReason"),
        ):
            bits = self._asked(ask)
            if bits is not None:
                names = [(getattr(self._nvml, prefix + name, 0), words) for name, words in _REASONS.items()]
                return tuple(words for bit, words in names if int(bits) & bit)
        return ()

    def _asked(self, function: str, *given: Any) -> float | None:
        with contextlib.suppress(self._nvml.NVMLError, AttributeError):
            return float(getattr(self._nvml, function)(self._handle, *given))
        return None


class GpuLog:
    """One GPU seen again and again while it works."""

    def __init__(self, uuid: str | None, every: float = 0.5) -> None:
        """Of the GPU with that UUID, or of none; a look within `every` seconds of the last one costs nothing."""
        self._sensor = GpuSensor.opened(uuid) if uuid else None
        self._every, self._next = every, 0.0
        self.seen: list[Gpu] = []

    def look(self) -> None:
        """See it now."""
        if self._sensor is not None and time.monotonic() >= self._next:
            self.seen.append(self._sensor.now())
            self._next = time.monotonic() + self._every

    def clock(self) -> GpuClock | None:
        """What was seen; None if nothing was."""
        if not self.seen:
            return None
        clocks = [one.sm_mhz for one in self.seen if one.sm_mhz is not None]
        watts = [one.watts for one in self.seen if one.watts is not None]
        return GpuClock(
            slowest_mhz=min(clocks, default=None),
            median_mhz=median(clocks) if clocks else None,
            fastest_mhz=max(clocks, default=None),
            watts=median(watts) if watts else None,
            celsius=self.seen[-1].celsius,
        )
