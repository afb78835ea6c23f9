"""A whole profile on a real GPU, as a user asks for it."""

import subprocess
import sys

import pytest
import torch

from eradio.profile import Profile

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none"),
]


def profiled(folder, *words):
    command = [sys.executable, "-m", "eradio", "profile", *words, "--device", "cuda", "--protocol", "search", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Profile.model_validate_json(done.stdout)


@pytest.fixture
def apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("engine", ["eager", "inductor"])
def test_a_network_is_measured_and_explained(engine, apart):
    profile = profiled(apart, "e_radio_mini_s", "--engine", engine, "--precision", "fp16", "--resolution", "64")
    (row,) = profile.networks
    assert row.measurement.target.device == "cuda"
    assert row.measurement.throughput.value > 0
    assert row.measurement.agreement.cosine > 0.99
    assert row.measurement.facts.fallback == ()  # the calls were recorded
    assert profile.environment["gpu"] == torch.cuda.get_device_name(0)
    found = row.explanation
    assert found.latency.p50.value > 0
    assert found.roofline.roof.gflops > 1000
    assert sum(one.share for one in found.shares.stages) == pytest.approx(1, abs=0.01)


def test_a_gpu_tells_its_clock_and_its_energy(apart):
    pytest.importorskip("pynvml")
    (row,) = profiled(apart, "timm/resnet18", "--engine", "eager", "--resolution", "224").networks
    assert 100 < row.measurement.gpu.slowest_mhz <= row.measurement.gpu.fastest_mhz
    assert 0 < row.explanation.joules_a_picture < 100
    assert row.explanation.peak_bytes >= row.explanation.weights_bytes > 4 * 11e6
