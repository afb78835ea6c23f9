import os
import re
from typing import ClassVar

import pytest
import torch
from torch import nn

from eradio.errors import EradioError, NoMemoryError
from eradio.locks import DeviceLock, try_lock
from eradio.onnx_file import write_onnx
from eradio.profile import Measurement, Protocol, Subject, Target, calibrate, identity, measure, measure_all
from eradio.profile.engines.base import Flat
from eradio.profile.engines.eager import Eager
from eradio.profile.measuring import _patient
from eradio.profile.randomise import randomise_constants
from eradio.profile.target import FINAL, SEARCH
from eradio.search_space import baselines, build, deploy, fit_windows, named, with_window
from tests.contracts.engine import Student

QUICK = Protocol(min_seconds=0.02, max_seconds=0.04, warm_up_seconds=0.02, looks=2, half_width=0.5, block_seconds=0.002)


def measure_module(module, digest, target, *, canary_folder, lock, **options):
    subject = Subject(digest, digest, "its own weights", module)
    (found,) = measure_all([subject], target, canary_folder=canary_folder, lock=lock, **options)
    return found


def quick(engine):
    return Target(engine=engine, batch=2, resolution=32, protocol=QUICK)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("canary")


@pytest.fixture(scope="module", params=["eager", "openvino"])
def measurement(request, store):
    return measure_module(Student(), "student", quick(request.param), canary_folder=store, lock=None)


def test_images_per_second_count_every_picture_of_the_batch(tmp_path):
    target = quick("eager").model_copy(update={"batch": 16})
    found = measure_module(Student(), "many", target, canary_folder=tmp_path, lock=None)
    by_hand = 16 / (found.latency_ms / 1e3)
    assert by_hand / 3 < found.throughput.value < 3 * by_hand
    shares = [re.search(r"ran at (\d+)% of its stored rate", note) for note in found.notes]
    assert all(25 < int(share.group(1)) < 400 for share in shares if share)


def test_everything_in_a_measurement_fits_together(measurement):
    ratio, throughput = measurement.ratio, measurement.throughput
    assert ratio.low <= ratio.value <= ratio.high
    assert throughput == ratio.scaled(measurement.canary.images_per_second)
    assert measurement.verdict == (
        "settled" if ratio.half_width() <= QUICK.half_width and measurement.undisturbed else "unsettled"
    )
    assert measurement.latency_ms == measurement.times.median
    for times in (measurement.times, measurement.canary_times):
        assert 0 < times.fastest <= times.quarter <= times.median <= times.three_quarters <= times.slowest
    assert measurement.calls >= 16
    assert measurement.identity == identity("student", measurement.target)
    assert measurement.agreement.cosine == pytest.approx(1.0, abs=1e-6)
    assert (measurement.parameters, measurement.activations) == (1632, 64 * (16 + 48 + 16))


def test_a_measurement_survives_json(measurement):
    assert Measurement.model_validate_json(measurement.canonical()) == measurement


def test_identity_changes_with_network_and_target_only():
    assert identity("a", Target()) == identity("a", Target(batch=8))
    others = {identity("b", Target()), identity("a", Target(batch=4)), identity("a", Target(engine="eager"))}
    assert len(others | {identity("a", Target())}) == 4


def test_a_described_network_is_measured_under_its_digest(store):
    network = baselines("tiny")[0].network
    found = measure(network, quick("eager"), canary_folder=store, lock=None)
    assert found.network == network.digest()
    assert found.identity == identity(network.digest(), quick("eager"))


@pytest.mark.parametrize("engine", ["eager", "openvino"])
def test_a_network_of_ours_is_measured_in_its_deploy_form_and_counted_as_it_is_trained(store, engine):
    network = fit_windows(named("e_radio_mini_s"), (96, 96))
    found = measure(network, quick(engine).model_copy(update={"resolution": 96}), canary_folder=store, lock=None)
    assert [one.window for one in found.windows] == [(3, 3), (3, 3)]
    assert found.network == network.digest()
    assert found.parameters == sum(parameter.numel() for parameter in build(named("e_radio_mini_s")).parameters())


def test_several_networks_are_measured_in_one_run_and_each_under_its_own_name(store):
    told = []
    subjects = [Subject(str(seed), f"digest {seed}", "its own", Student(seed)) for seed in (1, 2)]
    options = {"canary_folder": store, "lock": None, "watch": lambda what, share: told.append((what, share))}
    first, second = measure_all(subjects, quick("eager"), **options)
    assert (first.network, second.network) == ("digest 1", "digest 2")
    assert first.seconds == second.seconds
    assert first.identity != second.identity
    assert told[:2] == [("preparing 1", 0.0), ("preparing 2", 0.5)]
    assert told[-1] == ("measuring", 1.0)


def test_int8_takes_calibration_pictures_and_refuses_to_go_without(store):
    target = quick("onnxruntime").model_copy(update={"precision": "int8"})
    pictures = torch.rand(4, 3, 32, 32)
    found = measure_module(Student(), "s", target, canary_folder=store, lock=None, calibration=pictures)
    assert 1e-4 < found.agreement.max_error < 0.3
    with pytest.raises(EradioError, match="int8 needs calibration pictures"):
        measure_module(Student(), "s", target, canary_folder=store, lock=None)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_onnx_file_is_checked_against_what_it_says_and_measured(store, tmp_path, engine):
    path = tmp_path / "student.onnx"
    write_onnx(Flat(Student()), torch.rand(2, 3, 32, 32), path, any_batch=True)
    subject = Subject("student", "o", "a file", onnx=path)
    (found,) = measure_all([subject], quick(engine), canary_folder=store, lock=None)
    assert found.agreement.cosine == pytest.approx(1.0, abs=1e-6)
    assert (found.gmacs, found.activations) == (None, None)
    assert found.parameters == pytest.approx(1632, abs=40)  # the exporter folds the norm
    with pytest.raises(EradioError, match="Engine 'eager' takes no ONNX file"):
        measure_all([subject], quick("eager"), canary_folder=store, lock=None)


def test_what_is_no_onnx_file_is_a_sentence(store, tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    subject = Subject("text", "o", "a file", onnx=tmp_path / "text.onnx")
    with pytest.raises(EradioError, match=r"text.onnx cannot be read as ONNX"):
        measure_all([subject], quick("onnxruntime"), canary_folder=store, lock=None)


def test_a_study_s_candidate_is_measured_with_the_windows_it_is_taught_with(store):
    network = with_window(named("e_radio_mini_s"), 3)
    found = measure(network, quick("eager"), canary_folder=store, lock=None)
    assert {one.window for one in found.windows} == {(3, 3)}
    assert found.network == network.digest()


def test_before_a_measurement_no_weight_nor_statistic_is_zero():
    module = build(named("e_radio_mini_s"))
    randomise_constants(module)
    deployed = deploy(module, (64, 64))
    for state in (module.state_dict(), deployed.state_dict()):
        for name, value in state.items():
            assert name.endswith("num_batches_tracked") or (value != 0).all(), name
    assert all((value > 0).all() for name, value in module.state_dict().items() if name.endswith("running_var"))


def test_the_unit_is_calibrated_once_and_then_shared(tmp_path):
    first = calibrate(quick("eager"), canary_folder=tmp_path, lock=DeviceLock(tmp_path, "cpu"))
    assert first.images_per_second > 0
    assert calibrate(quick("eager"), canary_folder=tmp_path, lock=None) == first
    assert measure_module(Student(), "student", quick("eager"), canary_folder=tmp_path, lock=None).canary == first


def test_what_is_calibrated_already_needs_neither_memory_nor_the_device(tmp_path, monkeypatch):
    first = calibrate(quick("eager"), canary_folder=tmp_path, lock=None)

    def short(self, module, job):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(Eager, "prepare", short)
    assert calibrate(quick("eager"), canary_folder=tmp_path, lock=None) == first
    with pytest.raises(NoMemoryError, match="There is no memory for the reference network"):
        calibrate(quick("eager").model_copy(update={"batch": 3}), canary_folder=tmp_path, lock=None)


def test_the_unit_takes_seconds_even_where_a_network_takes_minutes():
    """Four times as long as a network in a study, and never longer than a network that somebody waits for."""
    assert (_patient(SEARCH).min_seconds, _patient(SEARCH).max_seconds) == (4.0, 10.0)
    assert (_patient(FINAL).min_seconds, _patient(FINAL).max_seconds) == (4.0, 20.0)


class Watcher(nn.Module):
    """Remembers, at each call, whether the device was free for others."""

    free: ClassVar[list[bool]] = []

    def __init__(self, path):
        super().__init__()
        self.path, self.scale = path, nn.Parameter(torch.ones(3))

    def forward(self, pictures):
        handle = try_lock(self.path)
        self.free.append(handle is not None)
        if handle is not None:
            os.close(handle)
        return pictures * self.scale[:, None, None]


def test_calls_are_timed_alone_on_the_device_and_prepared_outside_the_lock(store, tmp_path):
    Watcher.free.clear()
    lock = DeviceLock(tmp_path, "cpu")
    found = measure_module(Watcher(tmp_path / "cpu.lock"), "w", quick("eager"), canary_folder=store, lock=lock)
    assert Watcher.free[0]
    assert not any(Watcher.free[-found.calls :])
    held = try_lock(tmp_path / "cpu.lock")
    assert held is not None


def test_the_callers_network_stays_as_it_was(store):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    measure_module(module, "m", quick("eager"), canary_folder=store, lock=None)
    assert module.training
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


class Endless(nn.Module):
    def forward(self, pictures):
        return pictures / 0


def test_a_network_without_finite_outputs_is_a_sentence(store):
    with pytest.raises(EradioError, match="not finite"):
        measure_module(Endless(), "e", quick("eager"), canary_folder=store, lock=None)


def test_a_branch_behind_a_gain_of_zero_is_not_folded_away(store):
    block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    nn.init.zeros_(block[1].weight)
    randomise_constants(block.eval())
    outputs = block(torch.rand(1, 3, 8, 8))
    assert bool((outputs.std((2, 3)) > 0).all())


def test_only_constant_parameters_are_disturbed_and_always_alike():
    first, second = nn.LayerNorm(8), nn.LayerNorm(8)
    varied = nn.Linear(8, 8, bias=False)
    before = varied.weight.clone()
    for module in (first, second, varied):
        randomise_constants(module.requires_grad_(False))
    assert torch.equal(varied.weight, before)
    assert torch.equal(first.weight, second.weight)
    assert len(set(first.weight.tolist())) == 8
    assert bool(((first.weight - 1).abs() < 0.6).all())


class Odd(nn.Module):
    """Does something of which nobody knows what it costs."""

    def forward(self, pictures):
        return pictures.mean((0, 1)).matrix_exp()


def test_what_cannot_be_counted_is_measured_all_the_same(store):
    found = measure_module(Odd(), "odd", quick("eager"), canary_folder=store, lock=None)
    assert found.throughput.value > 0
    assert found.gmacs is None
    assert any("linalg_matrix_exp costs is not known" in note for note in found.notes)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("a later call"), r"late cannot be measured with eager: RuntimeError: a later call\."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "late does not fit the memory"),
        (MemoryError(), "late does not fit the memory"),
    ],
)
def test_what_a_network_raises_in_the_middle_is_a_sentence(store, error, words):
    class Late(nn.Module):
        calls = 0

        def forward(self, pictures):
            Late.calls += 1
            if Late.calls > 12:
                raise error
            return pictures.mean((2, 3))

    with pytest.raises(EradioError, match=words):
        measure_module(Late(), "late", quick("eager"), canary_folder=store, lock=None)


def test_an_empty_weight_and_keys_of_two_kinds_are_measured(store):
    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(0))

        def forward(self, pictures):
            return {"mean": pictures.mean((2, 3)), 3: pictures.amax((2, 3))}

    found = measure_module(Strange(), "strange", quick("eager"), canary_folder=store, lock=None)
    assert found.throughput.value > 0


def test_calibration_pictures_belong_to_the_identity_of_8_bit_integers():
    eight, single = Target(precision="int8"), Target()
    first, second = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert identity("a", eight, first) != identity("a", eight, second)
    assert identity("a", single, first) == identity("a", single)
