import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from eradio.errors import EradioError
from eradio.onnx_file import write_onnx
from eradio.profile.agreement import agreement
from eradio.profile.engines import LISTINGS, engine_names, load_engine
from eradio.profile.engines.base import Flat, Job
from tests.contracts.engine import EngineContract, Sharp, Student


class TestEager(EngineContract):
    @pytest.fixture
    def engine(self):
        return load_engine("eager")


class TestInductor(EngineContract):
    @pytest.fixture
    def engine(self):
        return load_engine("inductor")


class TestOpenVino(EngineContract):
    @pytest.fixture
    def engine(self):
        return load_engine("openvino")


class TestOnnxRuntime(EngineContract):
    @pytest.fixture
    def engine(self):
        return load_engine("onnxruntime")


ON_A_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none"),
]


class OnAGpu(EngineContract):
    """PyTorch's engines once more where they do not wait for each call by themselves."""

    pytestmark = ON_A_GPU

    @pytest.fixture
    def device(self):
        return "cuda"


class TestEagerOnAGpu(OnAGpu):
    @pytest.fixture
    def engine(self):
        return load_engine("eager")


class TestInductorOnAGpu(OnAGpu):
    @pytest.fixture
    def engine(self):
        return load_engine("inductor")


OFFERED = [
    pytest.param(name, device, precision, marks=ON_A_GPU if device == "cuda" else [])
    for name, listing in LISTINGS.items()
    for device, offered in listing.offers.items()
    for precision in offered
    if (device, precision) != ("cpu", "fp32")
]


@pytest.mark.parametrize(("name", "device", "precision"), OFFERED)
def test_every_offered_precision_is_close_to_float32_and_only_float32_is_equal_to_it(name, device, precision):
    pictures = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    calibration = torch.rand((5, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    with load_engine("eager").prepare(Student(), Job(pictures)) as eager:
        wanted = eager.outputs()
    job = Job(pictures, 1, precision, device, calibration if precision == "int8" else None)
    with load_engine(name).prepare(Student(), job) as prepared:
        outputs = prepared.outputs()
    found = agreement(outputs, wanted, name, precision)
    assert all(output.dtype == np.float32 for output in outputs)
    assert (found.max_error > 1e-4) == (precision != "fp32")


@pytest.mark.parametrize("network", [Student(), Sharp(4)], ids=["student", "as many heads as places"])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_onnx_file_is_measured_as_it_is(name, network, tmp_path):
    pictures = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    path = tmp_path / "student.onnx"
    write_onnx(Flat(network), pictures, path, any_batch=True)
    with load_engine("eager").prepare(network, Job(pictures)) as eager:
        wanted = eager.outputs()
    with load_engine(name).prepare_onnx(path, Job(pictures)) as prepared:
        agreement(prepared.outputs(), wanted, name)


def test_onnx_runtime_tells_how_large_the_file_is():
    weights = sum(value.nbytes for value in Student().state_dict().values())
    with load_engine("onnxruntime").prepare(Student(), Job(torch.rand(1, 3, 16, 16))) as prepared:
        assert weights / 2 < prepared.facts.artifact_bytes < weights + 50_000


def test_onnx_runtime_starts_as_many_threads_as_asked_for():
    """In a process of its own, where no other test's threads come and go."""
    program = """
import sys, torch
from pathlib import Path
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Job
def threads():
    return len(list(Path("/proc/self/task").iterdir()))
before = threads()
job = Job(torch.rand(1, 3, 16, 16), int(sys.argv[1]))
with load_engine("onnxruntime").prepare(torch.nn.Conv2d(3, 4, 3).eval(), job):
    print(threads() - before)
"""
    few, many = (
        int(subprocess.run([sys.executable, "-c", program, count], capture_output=True, text=True, check=True).stdout)
        for count in ("1", "5")
    )
    assert many - few == 4


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_is_told_how_many_threads_a_call_may_use(threads, monkeypatch):
    import openvino

    asked = []
    compiled = openvino.Core.compile_model

    def compile_model(self, model, device, config):
        made = compiled(self, model, device, config)
        asked.append(made.get_property("INFERENCE_NUM_THREADS"))
        return made

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)
    with load_engine("openvino").prepare(Student(), Job(torch.rand(1, 3, 16, 16), threads)):
        assert asked == [threads]


class Unknown(nn.Module):
    def forward(self, pictures):
        return torch.linalg.eigvals(pictures).real


def test_every_engine_goes_by_its_name():
    for name in engine_names():
        module, cls = LISTINGS[name].place.split(":")
        assert getattr(importlib.import_module(module), cls).name == name


def test_an_unknown_engine_is_named_with_the_known_ones():
    with pytest.raises(
        EradioError, match=r"no engine 'openvinno'. Choose one of eager, inductor, onnxruntime, openvino"
    ):
        load_engine("openvinno")


def test_a_missing_library_is_a_sentence_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "eradio.profile.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EradioError, match=r"'openvino' needs a library .* Run: pip install openvino"):
        load_engine("openvino")


class Fickle(nn.Module):
    def forward(self, pictures):
        return pictures * 2 if bool((pictures > 0.5).all()) else pictures


@pytest.mark.parametrize(
    ("name", "network", "sentence"),
    [
        ("openvino", Unknown(), "OpenVINO cannot convert this network"),
        ("onnxruntime", Unknown(), "ONNX Runtime cannot run this network"),
        ("inductor", Fickle(), "torch.compile cannot compile this network"),
    ],
)
def test_a_network_that_an_engine_cannot_take_is_a_sentence(name, network, sentence):
    with pytest.raises(EradioError, match=f"{sentence}: .*engine 'eager'"):
        load_engine(name).prepare(network.eval(), Job(torch.rand(1, 3, 16, 16)))


def test_openvino_is_imported_without_its_telemetry():
    # In a process of its own, since whoever imports openvino first decides.
    program = (
        "import sys; from eradio.profile.engines import load_engine; load_engine('openvino'); "
        "assert 'openvino_telemetry' not in sys.modules; "
        "assert sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__.endswith('telemetry_stub')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
