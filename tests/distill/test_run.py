"""A training in a folder of its own: from the command line to a student that others load."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file

from eradio.cli import run_command
from eradio.distill.recipe import Recipe
from eradio.export import find_trained

SMALL = {"partitions": [{"batch": 4}], "steps": 6, "validation": 4, "targets": "live", "optimiser": {"warmup": 2}}


def _recipe(folder: Path, **changes: object) -> str:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return str(path)


def _distil(*words: object) -> int:
    return run_command(["distill", "e_radio_mini_s", *map(str, words)])


def test_a_training_leaves_a_student_its_card_its_manifest_and_its_losses(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert _distil("--config", _recipe(tmp_path), "--out", out) == 0
    trained = find_trained(str(out))
    loaded = timm.create_model(f"local-dir:{out / 'timm'}", pretrained=True, num_classes=0).eval()
    pictures = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(loaded.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    assert torch.allclose(loaded.forward_features((pictures - mean) / std), trained.module(pictures).spatial, atol=1e-5)
    assert trained.source.endswith(str(out))
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["teachers"]) == set(manifest["licences"]) == {"clip", "dino", "sam"}
    assert set(manifest["losses"]) == {f"{name}/spatial" for name in ("clip", "dino", "sam")} | {
        f"{name}/summary" for name in ("clip", "dino")
    }
    assert manifest["loss"] == pytest.approx(sum(manifest["losses"].values()))
    assert "| sam | sam | shipped | Apache-2.0 |" in (out / "README.md").read_text()
    with (out / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 7)]
    assert float(rows[0]["loss"]) == pytest.approx(sum(float(rows[0][name]) for name in manifest["losses"]), rel=1e-5)


def test_a_training_that_is_told_to_stop_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, steps=30)
    assert _distil("--config", recipe, "--out", tmp_path / "whole") == 0
    command = [
        sys.executable,
        "-m",
        "eradio",
        "distill",
        "e_radio_mini_s",
        "--config",
        recipe,
        "--workers",
        "1",
        "--out",
    ]
    for name in (signal.SIGTERM, signal.SIGUSR2):
        out = tmp_path / name.name
        process = subprocess.Popen([*command, str(out)], stderr=subprocess.PIPE, text=True, start_new_session=True)
        _wait_for_steps(out, 3)
        os.killpg(process.pid, name)  # as a cluster does: the process that makes pictures ahead gets it too
        _, told = process.communicate(timeout=120)
        assert process.returncode == 143
        assert "is kept" in told
        assert not (out / "student.safetensors").exists()
        assert _distil("--config", recipe, "--out", out) == 0
        _same_student(tmp_path / "whole", out)
        assert (out / "losses.csv").read_text() == (tmp_path / "whole" / "losses.csv").read_text()


def test_a_run_that_is_told_to_stop_before_its_first_step_ends_at_once(tmp_path: Path) -> None:
    balance = {"spatial": "phi-s", "pictures": 1_000_000}
    recipe, out = _recipe(tmp_path, balance=balance), tmp_path / "out"
    command = [sys.executable, "-m", "eradio", "distill", "e_radio_mini_s", "--config", recipe, "--out", str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    assert "Measuring the teachers' scales" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Asked to stop: what was done is kept" in told


def test_a_killed_training_loses_what_came_after_its_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of a checkpoint's write: the earlier one is whole, and the end is the same."""
    monkeypatch.setattr("eradio.distill.run._SAVE_SECONDS", 0.0)
    recipe = _recipe(tmp_path, steps=8)
    assert _distil("--config", recipe, "--out", tmp_path / "whole") == 0
    out = tmp_path / "killed"
    program = f"""
import os, signal
import eradio.distill.run, eradio.files as files, eradio.tensors as tensors
from eradio.cli import run_command
eradio.distill.run._SAVE_SECONDS = 0.0
original, calls = files.write_atomically, iter(range(100))
def half(path, write):
    def killed(temporary):
        write(temporary)
        content = temporary.read_bytes()
        temporary.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    original(path, killed if next(calls) == 4 else write)
tensors.write_atomically = half
run_command(["distill", "e_radio_mini_s", "--config", {recipe!r}, "--out", {str(out)!r}])
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert (out / "checkpoints" / "rung-8.pt").exists()
    assert len(list((out / "checkpoints").glob(".*.tmp"))) == 1
    assert _distil("--config", recipe, "--out", out) == 0
    assert list((out / "checkpoints").glob(".*.tmp")) == []
    _same_student(tmp_path / "whole", out)
    assert (out / "losses.csv").read_text() == (tmp_path / "whole" / "losses.csv").read_text()


def test_a_next_stage_begins_with_the_student_of_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other teachers' heads are new; where nothing is learnt, nothing changes, through balance and back."""
    first, second = tmp_path / "first", tmp_path / "second"
    two = [{"kind": kind, "name": kind} for kind in ("clip", "dino")]
    assert _distil("--config", _recipe(tmp_path, teachers=two), "--out", first) == 0
    still = {"learning_rate": 1e-30, "weight_decay": 0}
    balance = {"summary": "channel", "spatial": "phi-s", "pictures": 64}
    recipe = _recipe(tmp_path, optimiser=still, balance=balance, steps=1)
    assert _distil("--config", recipe, "--out", second, "--start-from", first) == 0
    assert "new heads: sam" in " ".join(capsys.readouterr().out.split())
    before, after = (load_file(folder / "student.safetensors") for folder in (first, second))
    for name, value in before.items():
        if value.is_floating_point() and "running" not in name:
            assert torch.allclose(value, after[name], rtol=1e-4, atol=1e-4 * float(value.abs().max())), name


@pytest.mark.parametrize(
    ("changes", "words", "said"),
    [
        ({}, ["--config", "nonesuch"], "There is no recipe 'nonesuch'; shipped are"),
        ({"partitions": [{"teachers": ["cilp"]}]}, [], "a partition names cilp"),
        ({"partitions": [{"teachers": ["clip"]}]}, [], "no partition has the teachers dino, sam"),
        ({}, ["--micro-batch", "3"], "not whole micro-batches of 3"),
        ({}, ["--micro-batch", "2"], "Give the partition a 'group'"),
        ({"summary": None, "spatial": None}, [], "nothing to learn"),
        ({}, ["--start-from", "nowhere"], "Give the folder of a run that has ended"),
        ({"optimiser": {"learning_rate": 1e9, "warmup": 0}}, [], "diverged"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], words: list[str], said: str
) -> None:
    config = [] if "--config" in words else ["--config", _recipe(tmp_path, **changes)]
    assert _distil(*config, *words, "--out", tmp_path / "run") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_another_recipe_does_not_go_on_in_the_same_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _distil("--config", _recipe(tmp_path, steps=1), "--out", tmp_path / "run") == 0
    assert _distil("--config", _recipe(tmp_path, steps=1, seed=5), "--out", tmp_path / "run") == 1
    assert "holds another training (different: recipe)" in capsys.readouterr().err
    assert _distil("--config", _recipe(tmp_path, steps=2), "--out", tmp_path / "run") == 0


def test_the_shipped_recipes_are_valid_and_their_heads_say_what_they_need() -> None:
    folder = Path(sys.modules[Recipe.__module__].__file__ or "").with_name("recipes")
    for path in sorted(folder.glob("*.yaml")):
        Recipe.named(path.stem)
        head = [line for line in path.read_text().splitlines() if line.startswith("#")]
        assert any("Expected:" in line for line in head), path
        assert any("Command: " in line and path.stem in line for line in head), path


def _wait_for_steps(out: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        path = out / "losses.csv"
        if path.exists() and len(path.read_text().splitlines()) > steps:
            return
        time.sleep(0.05)
    raise AssertionError(os.listdir(out) if out.exists() else "nothing happened")


def _same_student(first: Path, second: Path) -> None:
    a, b = (load_file(folder / "student.safetensors") for folder in (first, second))
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_finished_student_is_held_beside_its_teachers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert _distil("--config", _recipe(tmp_path, balance={"spatial": "phi-s", "pictures": 32}), "--out", out) == 0
    words = ["probe", str(out), "--resolution", "64,48", "--pictures", "6"]
    assert run_command(words) == 0
    assert "48 px" in capsys.readouterr().out
    with (out / "probe" / "fidelity.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["head"], row["side"]) for row in rows} == {
        (f"{teacher}/{part}", side)
        for teacher, part in [
            ("clip", "summary"),
            ("clip", "spatial"),
            ("dino", "summary"),
            ("dino", "spatial"),
            ("sam", "spatial"),
        ]
        for side in ("48", "64")
    }
    assert all(0 < float(row["fidelity"]) < 5 for row in rows)
    assert (out / "probe" / "fidelity.svg").read_text().startswith("<?xml")
    assert run_command([*words[:3], "60"]) == 1
    assert "multiples of 16" in capsys.readouterr().err
    assert run_command([*words[:3], "many"]) == 1
    assert run_command(["probe", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_networks_that_are_taught_together_become_what_they_had_become_alone(tmp_path: Path) -> None:
    names = ["e_radio_mini_s", "e_radio_mini", "resnet_s"]
    recipe = _recipe(tmp_path, targets="auto")
    together = ["distill", *names, "--config", recipe, "--out", str(tmp_path / "together"), "--device", "cpu"]
    assert run_command(together) == 0
    for name in names:
        alone = ["distill", name, "--config", recipe, "--out", str(tmp_path / "alone" / name), "--device", "cpu"]
        assert run_command(alone) == 0
        first, second = (load_file(tmp_path / how / name / "student.safetensors") for how in ("together", "alone"))
        assert all(torch.equal(value, second[key]) for key, value in first.items())
        assert json.loads((tmp_path / "together" / name / "targets.json").read_text())["kind"] == "shared"


def test_one_that_fails_does_not_disturb_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A transformer of one side refuses the second resolution; the network beside it learns on."""
    network = tmp_path / "fixed.yaml"
    options = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2}
    network.write_text(yaml.safe_dump({"name": "vit_tiny_patch16_224", "options": options}))
    recipe = _recipe(tmp_path, partitions=[{"batch": 4, "later": [{"step": 3, "resolution": 48}]}])
    out = tmp_path / "out"
    both = ["distill", "e_radio_mini_s", str(network), "--config", recipe, "--out", str(out), "--device", "cpu"]
    assert run_command(both) == 1
    assert "takes 64x64 pixels, not 48x48" in capsys.readouterr().err
    assert not (out / "fixed" / "student.safetensors").exists()
    alone = ["distill", "e_radio_mini_s", "--config", recipe, "--out", str(tmp_path / "alone"), "--device", "cpu"]
    assert run_command(alone) == 0
    first, second = (load_file(one / "student.safetensors") for one in (out / "e_radio_mini_s", tmp_path / "alone"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_one_that_fails_in_its_own_way_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Swin, whose windows are of one side, raises an assertion of timm's."""
    network = tmp_path / "swin.yaml"
    small = {"depths": [1, 1, 1, 1], "embed_dim": 24, "num_heads": [1, 2, 4, 8], "img_size": 64, "window_size": 2}
    network.write_text(yaml.safe_dump({"name": "swin_tiny_patch4_window7_224", "options": small}))
    recipe = _recipe(tmp_path, partitions=[{"batch": 4, "later": [{"step": 3, "resolution": 48}]}])
    out = tmp_path / "out"
    both = ["distill", "e_radio_mini_s", str(network), "--config", recipe, "--out", str(out), "--device", "cpu"]
    assert run_command(both) == 1
    assert "swin: This network cannot be taught by this recipe: AssertionError" in capsys.readouterr().err
    assert (out / "e_radio_mini_s" / "student.safetensors").exists()


def test_a_cache_is_shared_by_runs_and_emptied_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, cache = _recipe(tmp_path, targets="cached"), tmp_path / "cache"
    assert _distil("--config", recipe, "--out", tmp_path / "one", "--targets", cache) == 0
    written = {path: path.stat().st_mtime_ns for path in cache.glob("*/*.safetensors")}
    assert len(written) == 4 * 7
    assert _distil("--config", recipe, "--out", tmp_path / "two", "--targets", cache) == 0
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*/*.safetensors")} == written
    assert "0 MB of teacher targets" in capsys.readouterr().out
    assert run_command(["targets", str(cache)]) == 0
    assert "answers of a sam" in capsys.readouterr().out
    assert run_command(["targets", str(cache), "--keep", "0"]) == 0
    assert not list(cache.glob("*/*.safetensors"))
    assert run_command(["targets", str(tmp_path / "nowhere")]) == 1


def test_networks_of_one_name_do_not_meet_in_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["distill", "e_radio_mini", "e_radio_mini"]) == 1
    assert "called the same" in capsys.readouterr().err
