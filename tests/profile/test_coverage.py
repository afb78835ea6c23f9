"""TensorRT takes what can be built here: lowering, parser and ahead-of-time builder, really run, without a device."""

import json
import sys
from importlib import metadata
from io import StringIO
from itertools import islice

import pytest
import torch
from rich.console import Console
from torch import nn
from torchvision.ops import deform_conv2d

from eradio.cli import run_command
from eradio.errors import EradioError
from eradio.profile.coverage import (
    Coverage,
    Lowered,
    Refused,
    Worker,
    coverage,
    coverage_table,
    environment,
    folder,
)
from eradio.search_space import Architecture, SearchSpace, build, choose_windows, describe, sample
from eradio.search_space.zoo import zoo

installed = pytest.mark.skipif(
    not (folder() / "torch_tensorrt").is_dir(), reason=f"TensorRT-RTX is not in {folder()}; `make test` puts it there"
)
E_RADIO = sorted(name for name, network in zoo().items() if isinstance(network, Architecture))


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.mark.no_cover
@installed
@pytest.mark.slow
@pytest.mark.parametrize("name", E_RADIO)
def test_every_named_network_becomes_one_engine(name, worker):
    side = 64 if "mini" in name else 128
    module = build(choose_windows(zoo()[name], (side, side), "fit")).eval().requires_grad_(False)
    if sum(value.numel() for value in module.parameters()) > 200_000_000:
        module.half()  # the largest two would take ten gigabytes in float32
    found = coverage(module, side, 1, name, worker)
    assert found.complete(), found
    assert found.lowering.operators > 100
    assert set(found.building.targets) >= {"SM75", "SM80", "SM86", "SM89", "SM120"}
    size = sum(value.nbytes for value in module.parameters())
    assert 0.9 * size < found.building.engine_bytes < 2 * size + 10_000_000


@pytest.mark.no_cover
@installed
@pytest.mark.slow
def test_members_of_the_widest_space_become_one_engine_each(seed, worker):
    small = (one for one in sample(SearchSpace.named("wide"), seed) if one.stages[0].width <= 48)
    shallow = (one for one in small if sum(stage.depth for stage in one.stages) <= 8)
    for network in islice(shallow, 3):
        found = coverage(build(network).eval(), 64, 1, network.digest(), worker)
        assert found.complete(), (describe(network), found)


class Strange(nn.Module):
    """A deformable convolution and a Bessel function, between operators that any compiler knows."""

    def __init__(self):
        super().__init__()
        self.offsets = nn.Conv2d(3, 18, 3, padding=1)
        self.weight = nn.Parameter(torch.rand(4, 3, 3, 3))
        self.requires_grad_(False).eval()

    def forward(self, pictures):
        bent = deform_conv2d(pictures, self.offsets(pictures), self.weight, padding=1)
        return torch.special.i0(bent.relu()) + 1


@installed
def test_operators_without_a_converter_are_named(worker):
    found = coverage(Strange(), 16, 1, "strange", worker)
    assert not found.complete()
    unsupported = found.lowering.unsupported
    assert (found.lowering.operators - found.lowering.supported, sum(unsupported.values())) == (2, 2)
    assert any("deform_conv2d" in name for name in unsupported)
    assert any("i0" in name for name in unsupported)
    assert isinstance(found.building, Refused)
    assert "bessel_i0" in found.building.reason


class Bent(Strange):
    def forward(self, pictures):
        return deform_conv2d(pictures, self.offsets(pictures), self.weight, padding=1)


@installed
def test_operators_that_the_parser_refuses_are_named(worker):
    found = coverage(Bent(), 16, 1, "bent", worker)
    assert "DeformConv" in found.building.reason


class Undecided(nn.Module):
    def forward(self, pictures):
        return pictures if pictures.sum() > 0 else -pictures


@installed
def test_whatever_a_tool_raises_is_a_reason_and_not_a_traceback(worker, capfd):
    found = coverage(Undecided(), 16, 1, "undecided", worker)
    for answer in (found.lowering, found.building):
        assert isinstance(answer, Refused)
        assert answer.reason.startswith("torch.export refuses it: ")
    assert capfd.readouterr() == ("", "")


@installed
def test_a_worker_that_dies_is_a_reason_and_the_next_one_answers():
    with Worker() as worker:
        worker._process = worker._started()
        worker._process.kill()
        found = coverage(Bent(), 16, 1, "bent", worker)
        assert found.lowering.reason.startswith("its process ended with status -9")
        assert isinstance(coverage(Bent(), 16, 1, "bent", worker).lowering, Lowered)


@installed
def test_the_command_line_tells_what_is_covered(capsys):
    assert run_command(["profile", "timm/resnet18", "--coverage", "--batch", "1"]) == 0
    shown = capsys.readouterr().out
    for words in ("resnet18, batch 1, 64 px", "operators have a converter; engines: 1", "SM75", "SM120", "MB"):
        assert words in shown


def test_the_table_names_what_is_not_covered():
    lowered = Lowered(operators=9, supported=7, unsupported={"aten.i0": 2}, engines=3, seconds=1.0)
    found = Coverage(
        network="n", resolution=64, batch=8, lowering=lowered, building=Refused(reason="the parser refuses Det")
    )
    assert not found.complete()
    console = Console(width=120, record=True, file=StringIO())
    console.print(coverage_table(found))
    shown = console.export_text()
    for words in ("7 of 9 operators", "engines: 3", "aten.i0, 2 of them", "not covered: the parser refuses Det"):
        assert words in shown
    assert Coverage.parse(json.loads(found.model_dump_json()), "here") == found


def test_without_tensorrt_rtx_the_line_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch>=2.9", 'some-pin==1.2; extra == "coverage"'])
    with pytest.raises(EradioError) as error:
        coverage(Bent(), 16, 1, "bent")
    assert str(error.value) == (
        "--coverage needs TensorRT-RTX in a folder of its own. "
        f"Run: pip install --no-deps --target {tmp_path / 'tensorrt-rtx'} some-pin==1.2"
    )


def test_a_tensorrt_rtx_that_cannot_be_imported_is_a_sentence(tmp_path, monkeypatch):
    library = tmp_path / "tensorrt-rtx" / "torch_tensorrt"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("raise ImportError('libtensorrt.so is gone')")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(EradioError, match=r"cannot be imported \(ImportError: libtensorrt.so is gone\)\. Run: pip"):
        coverage(Bent(), 16, 1, "bent")


def test_every_pin_is_exact():
    assert environment.pins()
    assert all("==" in pin for pin in environment.pins())
