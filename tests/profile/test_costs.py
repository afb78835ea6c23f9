"""Memory, energy and the roofline."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from eradio.profile.energy import EnergyMeter
from eradio.profile.memory import MemoryWatch, free_bytes, largest_batch, weights_bytes
from eradio.profile.roofline import Roof, measured_roof, under_roof


def test_weights_are_as_many_bytes_as_their_precision_has():
    module = nn.Linear(10, 7)
    assert [weights_bytes(module, one) for one in ("fp32", "fp16", "bf16", "int8")] == [308, 154, 154, 77]


def test_the_most_memory_held_is_seen_and_what_was_given_back_before_is_forgotten():
    megabyte = 1 << 20
    watch = MemoryWatch("cpu")
    gone = torch.ones(300 * megabyte, dtype=torch.uint8)
    del gone
    kept = torch.ones(60 * megabyte, dtype=torch.uint8)
    watch.forget()
    passing = torch.ones(100 * megabyte, dtype=torch.uint8)
    del passing
    assert watch.peak_bytes() == pytest.approx(160 * megabyte, rel=0.15)
    assert len(kept) == 60 * megabyte


def test_free_memory_is_told():
    free = free_bytes("cpu")
    assert free is not None
    assert free > 1 << 20


@given(true=st.integers(0, 5000), most=st.integers(1, 4096))
def test_the_largest_batch_is_found_to_within_a_sixteenth_in_few_attempts(true, most):
    tried = {}

    def attempt(batch):
        assert batch not in tried
        tried[batch] = "fits" if batch <= true else "no memory"
        return tried[batch]

    found = largest_batch(attempt, most)
    assert found.pictures <= min(true, most)
    assert found.pictures + max(1, found.pictures // 16) >= min(true, most)
    assert found.pictures == 0 or tried[found.pictures] == "fits"
    assert found.beyond == ("not tried" if true >= most else "no memory")
    assert max(tried) <= most
    assert len(tried) <= 18


def test_what_stopped_the_batch_is_told():
    slow = largest_batch(lambda batch: "fits" if batch <= 3 else "too slow", 100)
    assert (slow.pictures, slow.beyond) == (3, "too slow")


def rapl(folder, zone, name, joules, wraps=1000):
    place = folder / zone
    place.mkdir(exist_ok=True)
    (place / "name").write_text(f"{name}\n")
    (place / "energy_uj").write_text(f"{joules * 1_000_000:.0f}\n")
    (place / "max_energy_range_uj").write_text(f"{wraps * 1_000_000:.0f}\n")


def test_energy_is_that_of_all_packages_even_where_a_counter_starts_anew(tmp_path):
    rapl(tmp_path, "intel-rapl:0", "package-0", 990)
    rapl(tmp_path, "intel-rapl:1", "package-1", 10)
    rapl(tmp_path, "intel-rapl:0:0", "core", 5)
    rapl(tmp_path, "intel-rapl:2", "psys", 100)
    meter = EnergyMeter("cpu", powercap=tmp_path)
    rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    rapl(tmp_path, "intel-rapl:1", "package-1", 12)
    rapl(tmp_path, "intel-rapl:0:0", "core", 500)
    rapl(tmp_path, "intel-rapl:2", "psys", 200)
    assert meter.joules() == pytest.approx(17)


def test_where_nothing_counts_energy_there_is_silence(tmp_path):
    assert EnergyMeter("cpu", powercap=tmp_path).joules() is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert EnergyMeter("cpu", powercap=tmp_path).joules() is None


ROOF = Roof(precision="fp32", threads=1, gflops=100.0, gigabytes_per_second=10.0)


def test_below_the_ridge_memory_binds_and_above_it_the_arithmetic():
    low = under_roof(ROOF, images_per_second=10, gmacs=1.0, activations=0, weights=1_000_000_000, batch=1)
    assert (low.intensity, low.gflops, low.bound) == (2.0, 20.0, "memory")
    assert low.share == pytest.approx(1.0)
    high = under_roof(ROOF, images_per_second=10, gmacs=1.0, activations=0, weights=1_000_000_000, batch=100)
    assert (high.intensity, high.bound) == (200.0, "compute")
    assert high.share == pytest.approx(0.2)
    busy = under_roof(ROOF, images_per_second=10, gmacs=1.0, activations=250_000_000, weights=0, batch=1)
    assert busy.intensity == pytest.approx(1.0)


def test_this_machine_has_a_roof_in_every_precision_that_pytorch_multiplies_in():
    for precision in ("fp32", "bf16"):
        roof = measured_roof(precision, "cpu", 1)
        assert roof is not None
        assert roof.gflops > 0.5
        assert roof.gigabytes_per_second > 0.1
    assert measured_roof("int8", "cpu", 1) is None


def test_the_roof_counts_two_for_each_multiply_accumulate_and_each_byte_copied(monkeypatch):
    product, convolution = 2 * 1024**3, 2 * 9 * 256**2 * 64**2
    for seconds, gflops in (([0.5, 100.0], product / 0.5e9), ([100.0, 0.5], convolution / 0.5e9)):
        given = iter([*seconds, 0.5])
        monkeypatch.setattr("eradio.profile.roofline._fastest", lambda work, device, threads, given=given: next(given))
        roof = measured_roof("fp32", "cpu", 1)
        assert roof.gflops == pytest.approx(gflops)
    assert roof.gigabytes_per_second == pytest.approx(2 * 2**27 / 0.5 / 1e9)


class FakeNvml(ModuleType):
    class NVMLError(Exception):
        pass

    millijoules = 5_000_000

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        assert handle == "GPU-7"
        self.millijoules += 1500
        return self.millijoules


def test_a_gpu_counts_in_millijoules(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="7"))
    assert EnergyMeter("cuda").joules() == pytest.approx(1.5)
