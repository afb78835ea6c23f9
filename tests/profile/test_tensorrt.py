"""TensorRT on a device: the contract, and what it tells of a build. Without one: what is missing."""

import hashlib
import importlib.util
import re

import numpy as np
import pytest
import torch

from eradio.errors import EradioError
from eradio.profile import Target, measure
from eradio.profile.engines import load_engine, tensorrt
from eradio.profile.engines.base import Job
from eradio.search_space import build, deploy, fit_windows, named
from tests.contracts.engine import EngineContract, Student

on_a_device = pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("torch_tensorrt") is None,
    reason="needs a CUDA device and torch-tensorrt",
)


@pytest.fixture
def apart(tmp_path_factory, monkeypatch):
    """Timing caches of their own, outside what the contract watches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.gpu
@on_a_device
@pytest.mark.usefixtures("apart")
class TestTensorRt(EngineContract):
    @pytest.fixture
    def engine(self):
        return load_engine("tensorrt")


@pytest.fixture
def job():
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return lambda precision: Job(pictures, precision=precision, device="cuda")


@pytest.fixture
def student():
    network = fit_windows(named("e_radio_mini_s"), (64, 64))
    return deploy(build(network).eval().requires_grad_(False), (64, 64))


@pytest.mark.gpu
@on_a_device
@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 3e-2), ("bf16", 2e-1)])
def test_each_precision_builds_one_engine_that_computes_the_same(student, job, precision, tolerance):
    pictures = job(precision).pictures
    with torch.inference_mode():
        wanted = [part.numpy() for part in student(pictures)]
    with load_engine("tensorrt").prepare(student, job(precision)) as prepared:
        for ours, theirs in zip(prepared.outputs(), wanted, strict=True):
            assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()
        facts, layers = prepared.facts, prepared.layers()
    assert facts.fallback == ()
    assert facts.build_seconds > 0
    weights = sum(value.numel() for value in student.parameters()) * (4 if precision == "fp32" else 2)
    assert facts.artifact_bytes > 0.5 * weights
    assert re.fullmatch("[0-9a-f]{64}", facts.timing_cache)
    assert all(layer.milliseconds >= 0 for layer in layers)
    assert sum(layer.milliseconds for layer in layers) > 0


@pytest.mark.gpu
@on_a_device
@pytest.mark.usefixtures("apart")
def test_a_second_build_takes_the_pinned_tactics(student, job, monkeypatch):
    """The second build is given the first one's cache, and says the digest of what it was given."""
    builds, build = [], tensorrt._build

    def watched(folder):
        given = folder / "timing.cache"
        builds.append(given.read_bytes() if given.exists() else None)
        build(folder)

    monkeypatch.setattr(tensorrt, "_build", watched)
    digests = []
    for _ in range(2):
        with load_engine("tensorrt").prepare(student, job("fp32")) as prepared:
            digests.append(prepared.facts.timing_cache)
    assert builds[0] is None
    assert hashlib.sha256(builds[1]).hexdigest() == digests[1] == digests[0]


@pytest.mark.parametrize(
    ("library", "device", "words"),
    [
        (False, False, r"needs torch-tensorrt \(run: pip install 'eradio\[tensorrt\]'\) and an NVIDIA GPU"),
        (True, False, r"needs an NVIDIA GPU that torch can see\. Without a GPU, .* --coverage"),
        (False, True, r"needs torch-tensorrt \(run: pip install 'eradio\[tensorrt\]'\)\."),
    ],
    ids=["both", "device", "library"],
)
def test_what_is_missing_is_a_sentence(library, device, words, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if library else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device)
    with pytest.raises(EradioError, match="^Engine 'tensorrt' " + words):
        load_engine("tensorrt")


def test_a_library_that_cannot_be_imported_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text("raise Exception('Could not find\\n libnvinfer.so.11')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(EradioError, match=r"cannot be imported \(Could not find libnvinfer.so.11\)\. Run: pip install"):
        load_engine("tensorrt")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_a_measurement_says_so(tmp_path):
    target = Target.parse({"engine": "tensorrt", "device": "cuda", "precision": "fp16", "resolution": 32}, "here")
    with pytest.raises(EradioError, match=r"Engine 'tensorrt' needs .*an NVIDIA GPU that torch can see"):
        measure(named("resnet_s"), target, canary_folder=tmp_path, lock=None)


def test_a_build_that_dies_is_a_sentence_with_its_last_line(tmp_path):
    with pytest.raises(EradioError, match=r"build of this network ended with status 1; the last it said was: \w+Error"):
        tensorrt._build(tmp_path)


def test_a_build_that_does_not_end_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt, "_PATIENCE", 0.01)
    with pytest.raises(EradioError, match=r"did not end within 0.01 seconds; the last it said was: nothing"):
        tensorrt._build(tmp_path)


def test_the_program_that_is_built_has_the_types_of_the_job(student, job):
    state = {name: value.clone() for name, value in student.state_dict().items()}
    program = tensorrt._program(student, job("fp16"))
    (pictures,), _ = program.example_inputs
    assert pictures.dtype == torch.float16
    assert {value.dtype for value in program.state_dict.values() if value.is_floating_point()} == {torch.float16}
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in state.items())


def test_equal_networks_pin_the_same_tactics_and_others_do_not(job):
    def key(module, precision="fp32"):
        return tensorrt._identity(tensorrt._program(module, job(precision)), job(precision), ["1", "2"])

    assert key(Student(seed=1)) == key(Student(seed=2))
    assert len({key(Student()), key(Student(summary=False)), key(Student(), "fp16")}) == 3
