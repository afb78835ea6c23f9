"""Memory that a network takes by itself."""

import pytest

from eradio.cli import run_command
from eradio.profile import Profile, Target
from eradio.subjects import footprint as room
from eradio.subjects.footprint import footprint

EAGER = Target(engine="eager", batch=2, resolution=64)
RESNET18_BYTES = 4 * 11_689_512


def test_a_network_takes_its_weights_and_what_its_pictures_pass_through():
    few = footprint("timm/resnet18", EAGER)
    many = footprint("timm/resnet18", EAGER.model_copy(update={"batch": 66}))
    assert (few.outcome, many.outcome) == ("fits", "fits")
    assert 0.9 * RESNET18_BYTES < few.peak_bytes < 3 * RESNET18_BYTES
    first_map = 64 * 64 * 32 * 32 * 4
    assert many.peak_bytes - few.peak_bytes > first_map


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "inductor"])
def test_every_engine_is_watched(engine):
    target = EAGER.model_copy(update={"engine": engine})
    assert footprint("timm/resnet18", target).peak_bytes > 0.9 * RESNET18_BYTES


@pytest.mark.parametrize("engine", ["eager", "openvino", "onnxruntime", "inductor"])
def test_what_does_not_fit_the_free_memory_is_not_run(engine, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda device: 600 << 20)
    many = EAGER.model_copy(update={"engine": engine, "batch": 256, "resolution": 224})
    found = footprint("timm/resnet18", many)
    assert found.outcome == "no memory", found.reason


def test_a_batch_that_is_itself_too_large_is_not_even_filled(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda device: 600 << 20)
    many = EAGER.model_copy(update={"batch": 4096, "resolution": 224})
    assert footprint("timm/resnet18", many).outcome == "no memory"


def test_what_fits_the_free_memory_runs(monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda device: 600 << 20)
    assert footprint("timm/resnet18", EAGER.model_copy(update={"batch": 1})).outcome == "fits"


def test_a_file_beside_the_user_is_not_taken_for_a_library(tmp_path, monkeypatch):
    (tmp_path / "timm.py").write_text("raise ImportError('my own file')")
    (tmp_path / "mine.py").write_text("import torch\n\ndef network():\n    return torch.nn.Conv2d(3, 4, 3)\n")
    monkeypatch.chdir(tmp_path)
    assert footprint("mine:network", EAGER).outcome in ("fits", "refused")
    assert "my own file" not in (footprint("mine:network", EAGER).reason or "")


def test_what_takes_too_long_is_told(monkeypatch):
    monkeypatch.setattr(room, "_USUAL_PATIENCE", 0.01)
    assert footprint("timm/resnet18", EAGER).outcome == "too slow"


def test_a_mistake_is_the_sentence_it_would_be_elsewhere():
    found = footprint("timm/no_such_network", EAGER)
    assert found.outcome == "refused"
    assert "timm has no model" in found.missing()


def test_int8_is_watched_on_its_calibration_pictures():
    target = EAGER.model_copy(update={"engine": "onnxruntime", "precision": "int8"})
    assert footprint("timm/resnet18", target).peak_bytes > 0.2 * RESNET18_BYTES


def test_the_largest_batch_is_one_that_ran(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(room, "free_bytes", lambda device: 400 << 20)
    words = ["timm/resnet18", "--engine", "eager", "--batch", "1", "--resolution", "448", "--protocol", "search"]
    assert run_command(["profile", *words, "--only-throughput", "--largest-batch", "--json"]) == 0
    (found,) = Profile.model_validate_json(capsys.readouterr().out).largest_batch.values()
    assert found.beyond == "no memory"
    assert 2 <= found.pictures < 64
