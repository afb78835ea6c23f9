import sys
from types import SimpleNamespace

import pytest
import torch

from eradio.profile.nvml import Gpu, GpuClock, GpuLog, GpuSensor
from eradio.profile.record import gpu_uuid


def seen():
    return GpuSensor.opened("GPU-1").now()


class NVMLError(Exception):
    pass


def refuse(*_):
    raise NVMLError


@pytest.fixture
def nvml(monkeypatch):
    """What `pynvml` offers, of a GPU that is hot and at its power cap."""
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlClocksEventReasonSwPowerCap=4,
        nvmlClocksEventReasonHwThermalSlowdown=64,
        nvmlClocksEventReasonGpuIdle=1,
        nvmlClocksThrottleReasonSwPowerCap=4,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid if uuid == "GPU-1" else refuse(),
        nvmlDeviceGetClockInfo=lambda handle, clock: 1500,
        nvmlDeviceGetCurrentClocksEventReasons=lambda handle: 4 | 64 | 1,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 4,
        nvmlDeviceGetPowerUsage=lambda handle: 690_000,
        nvmlDeviceGetTemperature=lambda handle, sensor: 86,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 1_500,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_gpu_is_asked_for_clock_reasons_power_and_heat(nvml):
    assert seen() == Gpu(1500.0, ("power cap", "hardware thermal slowdown"), 690.0, 86.0)


def test_an_older_driver_s_reasons_go_by_their_older_name(nvml):
    nvml.nvmlDeviceGetCurrentClocksEventReasons = refuse
    assert seen().reasons == ("power cap",)


def test_what_a_gpu_does_not_tell_is_missing(nvml):
    nvml.nvmlDeviceGetPowerUsage = nvml.nvmlDeviceGetClockInfo = refuse
    del nvml.nvmlDeviceGetTemperature
    assert seen() == Gpu(None, ("power cap", "hardware thermal slowdown"))


def test_energy_is_counted_in_millijoules(nvml):
    assert GpuSensor.opened("GPU-1").joules() == 1.5
    nvml.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert GpuSensor.opened("GPU-1").joules() is None


def test_an_unknown_gpu_or_none_or_no_driver_or_no_package_is_silence(nvml, monkeypatch):
    assert GpuSensor.opened("GPU-2") is None
    nvml.nvmlInit = refuse
    assert GpuSensor.opened("GPU-1") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuSensor.opened("GPU-1") is None
    for uuid in (None, "GPU-1"):
        log = GpuLog(uuid)
        log.look()
        assert (log.seen, log.clock()) == ([], None)


def test_a_log_tells_the_clocks_range_and_the_heat_at_the_end(nvml):
    log = GpuLog("GPU-1", every=0)
    for clock, watts, heat in [(1200, 600_000, 80), (1900, 700_000, 85), (1800, 650_000, 87)]:
        nvml.nvmlDeviceGetClockInfo = lambda handle, kind, clock=clock: clock
        nvml.nvmlDeviceGetPowerUsage = lambda handle, watts=watts: watts
        nvml.nvmlDeviceGetTemperature = lambda handle, sensor, heat=heat: heat
        log.look()
    assert log.clock() == GpuClock(slowest_mhz=1200, median_mhz=1800, fastest_mhz=1900, watts=650, celsius=87)


def test_a_log_looks_no_more_often_than_asked(nvml):
    log = GpuLog("GPU-1", every=3600)
    log.look()
    log.look()
    assert len(log.seen) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none")
def test_a_real_gpu_answers():
    pytest.importorskip("pynvml")
    sensor = GpuSensor.opened(gpu_uuid("cuda"))
    found = sensor.now()
    assert 100 < found.sm_mhz < 5000
    assert 0 < found.celsius < 120
    assert 1 < found.watts < 2000
    assert sensor.joules() > 0
