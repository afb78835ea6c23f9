"""Exports are read back by the programs they are for, and compute the same."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch

from eradio.cli import run_command
from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.student import new_student
from eradio.errors import EradioError
from eradio.export import export, find_trained
from eradio.files import write_json
from eradio.search_space import build, load_official, named, with_window
from eradio.tensors import write_tensors
from tests.search_space.official_names import VARIANTS, filled, official_names, with_tables
from tests.search_space.test_traps import spread

# A member of no zoo: windows that fit, linear attention, a neck.
NAMELESS = {
    "stem": {"kind": "unshuffle"},
    "stages": [
        {"kind": "convnext", "width": 8, "depth": 1},
        {"kind": "attention", "width": 16, "depth": 1, "heads": 2, "pattern": ["linear", "global-sub2"], "window": 4},
        {"kind": "attention", "width": 24, "depth": 1, "heads": 2, "pattern": ["local"], "window": 2},
    ],
    "neck": {"start": 1, "width": 20},
}


def trial(folder: Path, network: dict | str = "e_radio_mini_s") -> Path:
    """A folder as a study leaves it, with the weights of a student and its heads."""
    plain = named(network).model_dump(mode="json") if isinstance(network, str) else network
    write_json(folder / "architecture.json", plain)
    module = named(str(folder / "architecture.json"))
    shapes = (TeacherShape("clip", 6, 8), TeacherShape("sam", None, 4))
    student = new_student(lambda seed: build(module, 9), shapes, Recipe(), "abc")
    for name, value in student.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    write_tensors(folder / "student.safetensors", student.state_dict())
    return folder


def pictures(batch: int, side: int = 64) -> torch.Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def close(given: object, wanted: torch.Tensor, tolerance: float = 1e-4) -> None:
    assert np.abs(np.asarray(given) - wanted.numpy()).max() <= tolerance * wanted.std().item()


@pytest.mark.parametrize("network", ["e_radio_mini_s", NAMELESS], ids=["named", "nameless"])
@torch.no_grad()
def test_every_format_gives_the_student_s_features(tmp_path: Path, network: dict | str) -> None:
    trained = find_trained(str(trial(tmp_path / "0003", network)))
    batch = pictures(3)
    expected = trained.module(batch)

    (file,), _ = export(trained, "onnx", tmp_path / "onnx", 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    summary, spatial = session.run(["summary", "spatial"], {"pictures": batch.numpy()})
    close(spatial, expected.spatial)
    close(summary, expected.summary)

    (file,), _ = export(trained, "torch", tmp_path / "torch", 64)
    program = torch.export.load(file).module()
    summary, spatial = program(batch)
    close(spatial, expected.spatial)
    close(summary, expected.summary)

    for form in ("timm", "hf"):
        files, _ = export(trained, form, tmp_path / form, 64)
        assert [path.name for path in files][:2] == ["model.safetensors", "config.json"]
        model = timm.create_model(f"local-dir:{tmp_path / form}", pretrained=True).eval()
        assert model.num_classes == 0
        normalised = trained.module.normalise(batch)
        close(model(normalised), expected.summary)
        close(model.forward_features(normalised), expected.spatial)
        config = timm.data.resolve_model_data_config(model)
        assert list(config["input_size"]) == [3, 64, 64]
        assert config["mean"] == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert "library_name: timm" in (tmp_path / "hf" / "README.md").read_text()


def test_a_timm_folder_takes_classes_and_features_like_any_other(tmp_path: Path) -> None:
    export(find_trained(str(trial(tmp_path / "0003", NAMELESS))), "timm", tmp_path / "out", 64)
    name = f"local-dir:{tmp_path / 'out'}"
    assert timm.create_model(name, pretrained=True, num_classes=5)(pictures(2)).shape == (2, 5)
    maps = timm.create_model(name, pretrained=True, features_only=True)(pictures(1))
    assert [map_.shape[1] for map_ in maps] == [8, 16, 24]


@torch.no_grad()
def test_official_weights_are_a_checkpoint_too(tmp_path: Path) -> None:
    names = official_names(**VARIANTS["e_radio_xxxtiny"])
    state = with_tables(filled(names), names, 16, 16)
    torch.save({"state_dict": state}, tmp_path / "official.pth")
    trained = find_trained(str(tmp_path / "official.pth"))
    assert trained.network == named("e_radio_xxxtiny")
    files, _ = export(trained, "timm", tmp_path / "out", 64, "own")
    assert json.loads(files[1].read_text())["architecture"] == "e_radio_xxxtiny"
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    backbone = load_official(state)
    close(model(backbone.normalise(pictures(1))), backbone(pictures(1)).summary)


def features(file: Path, batch: torch.Tensor) -> torch.Tensor:
    """What a program's second output is."""
    _, spatial = torch.export.load(file).module()(batch)
    return spatial


@torch.no_grad()
def test_a_student_keeps_the_windows_it_was_taught_with_unless_asked(tmp_path: Path) -> None:
    """Windows of 3 fit no map of 64 pixels; the rule would choose others, and compute something else."""
    odd = with_window(named("e_radio_mini_s"), 3)  # type: ignore[arg-type]
    trained = find_trained(str(trial(tmp_path / "0003", odd.model_dump(mode="json"))))
    spread(trained.module)
    expected = trained.module(pictures(2)).spatial
    for form in ("torch", "timm"):
        _, words = export(trained, form, tmp_path / form, 64)
        assert "3x3 on the 4x4 map of stage 2 (125% more positions than it has)" in words
    close(features(tmp_path / "torch" / "0003.pt2", pictures(2)), expected)
    model = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    close(model.forward_features(trained.module.normalise(pictures(2))), expected)

    fitted = copy.deepcopy(trained.module)
    fitted.set_input_size((64, 64))
    for window, wanted in (("fit", fitted), ("2", fitted)):
        if window == "2":
            wanted.set_input_size((64, 64), window=2)
        (file,), _ = export(trained, "torch", tmp_path / window, 64, window)
        close(features(file, pictures(2)), wanted(pictures(2)).spatial)
        assert (wanted(pictures(2)).spatial - expected).abs().max() > 1e-2 * expected.std()
    assert torch.equal(trained.module(pictures(2)).spatial, expected)


@torch.no_grad()
def test_official_weights_keep_what_offsets_are_divided_by_at_other_windows(tmp_path: Path) -> None:
    names = official_names(**VARIANTS["e_radio_xxxtiny"])
    state = with_tables(filled(names), names, 16, 16)
    torch.save(state, tmp_path / "official.pth")
    (file,), words = export(find_trained(str(tmp_path / "official.pth")), "torch", tmp_path, 224, "7")
    assert "7x7 on the 14x14 map of stage 2" in words
    close(features(file, pictures(1, 224)), load_official(state, window=7)(pictures(1, 224)).spatial)


@torch.no_grad()
def test_maps_that_fit_no_window_leave_exactly_too(tmp_path: Path) -> None:
    """Runtimes round positions of nearest resizing each in their own way, and refuse pooling behind wide padding."""
    seven = {"kind": "attention", "depth": 1, "heads": 2, "window": 7, "enter": "pool"}
    network = {
        "stem": {"width": 8},
        "stages": [
            {**seven, "width": 8, "pattern": ["local"], "fit": "resize"},
            {**seven, "width": 16, "pattern": ["global-sub2", "local"], "fit": "resize"},
            {**seven, "width": 24, "pattern": ["global-sub2"], "fit": "pad"},
        ],
    }
    trained = find_trained(str(trial(tmp_path / "0003", network)))
    spread(trained.module)
    (file,), _ = export(trained, "onnx", tmp_path, 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    _, spatial = session.run(None, {"pictures": pictures(3).numpy()})
    close(spatial, trained.module(pictures(3)).spatial)


def test_torch_hub_finds_the_named_networks() -> None:
    root = Path(__file__).parents[2]
    model = torch.hub.load(str(root), "e_radio_mini", source="local", num_classes=3)
    assert model(pictures(1)).shape == (1, 3)
    with pytest.raises(RuntimeError, match="e_radio_bb"):
        torch.hub.load(str(root), "e_radio_bb", source="local")


def test_the_command_exports_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trial(tmp_path / "0003")
    out = tmp_path / "out"
    assert run_command(["export", str(folder), "--to", "onnx", "--resolution", "64", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert str(out / "0003.onnx") in said
    assert f"the student in {folder}" in said.replace("\n", " ")
    assert "2x2 on the 4x4 map of stage 2" in said.replace("\n", " ")


def test_timm_s_own_students_leave_as_onnx_but_not_as_ours(tmp_path: Path) -> None:
    name = "timm/resnet10t"
    (file,), _ = export(find_trained(name), "onnx", tmp_path, 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert session.run(None, {"pictures": pictures(1).numpy()})[0].shape == (1, 512)
    with pytest.raises(EradioError, match="a network of timm's own"):
        export(find_trained(name), "timm", tmp_path, 64)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.pth", "--to", "onnx"], "Cannot read nowhere.pth"),
        (["empty", "--to", "onnx"], "holds no architecture.json"),
        (["half", "--to", "onnx"], "holds no student.safetensors"),
        (["other", "--to", "onnx"], "are not those of the network"),
        (["text.pth", "--to", "onnx"], "cannot be read as a checkpoint"),
        (["text.safetensors", "--to", "onnx"], "is no safetensors file"),
        (["list.pth", "--to", "onnx"], "holds a list"),
        (["e_radio_mini", "--to", "tflite"], "no export format 'tflite'"),
        (["e_radio_minus", "--to", "onnx"], "close names"),
        (["e_radio_mini", "--to", "torch", "--out", "text.pth"], "Cannot write text.pth"),
        (["e_radio_mini", "--to", "torch", "--resolution", "0"], "--resolution"),
        (["e_radio_mini", "--to", "torch", "--window", "0"], "greater than or equal to 1"),
        (["e_radio_mini", "--to", "torch", "--window", "wide"], "--window must be"),
        (["timm/resnet10t", "--to", "torch", "--window", "7"], "--window is for architectures of ours"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "half" / "architecture.json", NAMELESS)
    write_json(trial(tmp_path / "other") / "architecture.json", NAMELESS)
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("this is text")
    torch.save([1, 2], tmp_path / "list.pth")
    assert run_command(["export", *arguments]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert words in error


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    program = "import torch, sys, os\nclass E:\n  def __reduce__(self): return os.mkdir, (sys.argv[2],)\n"
    subprocess.run(
        [sys.executable, "-c", f"{program}torch.save({{'x': E()}}, sys.argv[1])", tmp_path / "bad.pth", tmp_path / "x"],
        check=True,
    )
    with pytest.raises(EradioError, match="cannot be read as a checkpoint of plain tensors"):
        find_trained(str(tmp_path / "bad.pth"))
    assert not (tmp_path / "x").exists()
