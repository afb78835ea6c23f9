import numpy as np
import pytest
import torch
from PIL import Image

from eradio.errors import EradioError
from eradio.files import write_json
from eradio.onnx_file import write_onnx
from eradio.profile.engines.base import Flat
from eradio.profile.ready import made_ready
from eradio.profile.target import Target
from eradio.search_space import build, fit_windows, named, windows_at
from eradio.subjects import calibration_pictures, find
from tests.contracts.engine import Student
from tests.export.test_export import trial


def same_outputs(subject, other, side=64):
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for ours, theirs in zip(subject.module(pictures), other(pictures), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_a_name_gets_windows_that_fit_and_random_weights():
    found = find("e_radio_mini_s", 96)
    fitted = fit_windows(named("e_radio_mini_s"), (96, 96))
    assert (found.name, found.digest, found.source) == ("e_radio_mini_s", fitted.digest(), "random weights")
    assert found.windows == windows_at(fitted, (96, 96))
    assert {one.window for one in find("e_radio_mini_s", 96, "2").windows} == {(2, 2)}


def test_a_network_of_timm_s_with_a_fixed_size_is_built_for_the_resolution():
    for name, channels, side in [("vit_tiny_patch16_224", 192, 4), ("resnet10t", 512, 2)]:
        found = find(f"timm/{name}", 64)
        with torch.inference_mode():
            assert found.module(torch.rand(1, 3, 64, 64)).spatial.shape == (1, channels, side, side)


@pytest.mark.parametrize("written", ["run#3", "run/study.db#3", "run/candidates/0003"])
def test_a_trial_keeps_its_weights_and_its_windows(tmp_path, monkeypatch, written):
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "run" / "study.json", {})
    folder = trial(tmp_path / "run" / "candidates" / "0003")
    found = find(written, 64)
    assert found.name == written
    assert "student in" in found.source
    assert found.digest == named(str(folder / "architecture.json")).digest()
    wanted = find(str(folder), 64).module
    same_outputs(found, wanted)
    with pytest.raises(AssertionError):
        same_outputs(found, build(named("e_radio_mini_s")).eval())


def test_an_onnx_file_is_known_by_its_bytes(tmp_path):
    for seed in (1, 2):
        write_onnx(Flat(Student(seed)), torch.rand(1, 3, 32, 32), tmp_path / f"{seed}.onnx", any_batch=True)
    first, second = (find(str(tmp_path / f"{seed}.onnx"), 32) for seed in (1, 2))
    assert first.onnx == tmp_path / "1.onnx"
    assert first.name == str(tmp_path / "1.onnx")
    assert first.module is None
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("name", "resolution", "summary", "channels"),
    [("shipped/clip", 64, 128, 128), ("shipped/dino", 64, 128, 128), ("open_clip/ViT-S-32-alt", 64, 256, 384)],
)
def test_a_teacher_is_measured_without_what_no_picture_passes_through(name, resolution, summary, channels):
    found = find(name, resolution)
    with torch.inference_mode():
        features = found.module(torch.rand(1, 3, resolution, resolution))
    assert features.summary.shape == (1, summary)
    assert features.spatial.shape[1] == channels
    assert not any("text" in part or "token_embedding" in part for part, _ in found.module.named_parameters())


@pytest.mark.no_cover
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["shipped/clip", "shipped/dino", "shipped/sam", "open_clip/ViT-S-32-alt"])
def test_every_engine_takes_every_kind_of_teacher(name, engine):
    target = Target(engine=engine, resolution=64, batch=2)
    with made_ready(find(name, 64), target) as ready:
        assert ready.agreement.cosine > 0.999


def test_sam_is_its_image_encoder_at_its_own_resolution():
    found = find("sam/vit_b", 1024)
    assert 89_000_000 < sum(value.numel() for value in found.module.parameters()) < 90_000_000
    with pytest.raises(EradioError, match=r"looks at 1024 pixels and would resample 224. Give --resolution 1024"):
        find("sam/vit_b", 224)


MODULE = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

def wider():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))

def broken():
    raise KeyError("width")

def number():
    return 7
"""


def test_a_function_of_the_user_s_own_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users_networks.py").write_text(MODULE)
    found = find("users_networks:network", 32)
    assert not found.module.training
    assert found.digest == find("users_networks:network", 32).digest
    assert found.digest != find("users_networks:wider", 32).digest
    with pytest.raises(EradioError, match="users_networks:broken raised KeyError: 'width'"):
        find("users_networks:broken", 32)
    with pytest.raises(EradioError, match=r"returned a int, not a torch.nn.Module"):
        find("users_networks:number", 32)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("e_radio_minus", "No network is called 'e_radio_minus'"),
        ("timm/resnet10tt", "timm has no model 'resnet10tt'"),
        ("nowhere#3", "nowhere is no run folder"),
        ("missing.onnx", "Cannot read missing.onnx: No such file"),
        ("no_such_module:network", "Cannot find no_such_module:network: No module named"),
        ("json:networks", "Cannot find json:networks: .*no attribute"),
        ("shipped/clap", "No teacher 'clap' is shipped; there are clip, dino, sam"),
        ("open_clip/ViT-H-41", "open_clip knows no model 'ViT-H-41'"),
        ("sam/vit_z", "segment_anything knows no model 'vit_z'"),
    ],
)
def test_what_cannot_be_found_is_a_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EradioError, match=sentence):
        find(text, 64)


def test_a_trial_that_was_never_trained_is_a_sentence(tmp_path):
    write_json(tmp_path / "study.json", {})
    with pytest.raises(EradioError, match="has no trained candidate 7"):
        find(f"{tmp_path}#7", 64)


@pytest.mark.parametrize("text", ["timm/resnet10t", "shipped/clip", "tests.contracts.engine:Student"])
def test_only_networks_of_ours_have_windows_to_choose(text):
    with pytest.raises(EradioError, match=r"--window is for architectures of ours; .* has none"):
        find(text, 64, "4")


def test_calibration_pictures_are_real_and_of_the_size_asked_for(tmp_path):
    scenes = calibration_pictures(None, 48, 3)
    assert scenes.shape == (3, 3, 48, 48)
    assert 0 <= scenes.min() < scenes.max() <= 1
    assert not torch.equal(scenes[0], scenes[1])
    for number in range(2):
        Image.fromarray(np.full((20, 30, 3), 100 * number, np.uint8)).save(tmp_path / f"{number}.png")
    own = calibration_pictures(tmp_path, 16, 5)
    assert own.shape == (5, 3, 16, 16)
    assert set(own.unique().tolist()) <= {0.0, torch.tensor(100 / 255).item()}
