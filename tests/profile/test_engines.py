import subprocess
import sys

import pytest
import torch
from torch import nn

from eradio.errors import EradioError
from eradio.profile.engines import engine_names, load_engine
from eradio.profile.engines.base import Job
from tests.contracts.engine import EngineContract


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


class Unknown(nn.Module):
    def forward(self, pictures):
        return torch.linalg.eigvals(pictures).real


def test_every_engine_goes_by_its_name():
    assert [load_engine(name).name for name in engine_names()] == list(engine_names())


def test_an_unknown_engine_is_named_with_the_known_ones():
    with pytest.raises(EradioError, match=r"no engine 'openvinno'. Choose one of eager, openvino"):
        load_engine("openvinno")


def test_a_missing_library_is_a_sentence_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "eradio.profile.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EradioError, match=r"'openvino' needs a library .* Run: pip install openvino"):
        load_engine("openvino")


def test_a_network_that_openvino_cannot_take_is_a_sentence():
    with pytest.raises(EradioError, match=r"OpenVINO cannot convert this network: .*engine 'eager'"):
        load_engine("openvino").prepare(Unknown().eval(), Job(torch.rand(1, 3, 16, 16)))


def test_openvino_is_imported_without_its_telemetry():
    # In a process of its own, since whoever imports openvino first decides.
    program = (
        "import sys; from eradio.profile.engines import load_engine; load_engine('openvino'); "
        "assert 'openvino_telemetry' not in sys.modules; "
        "assert sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__.endswith('telemetry_stub')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
