"""Micro-batches, groups, processes and activations computed twice: the same training, but for rounding."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from eradio.cli import run_command

TWO = [
    {"teachers": ["clip", "dino"], "batch": 8, "group": 4, "resolution": [64, 48]},
    {"teachers": ["sam", "clip"], "batch": 4, "group": 2, "resolution": 96},
]


def _recipe(folder: Path, **changes: object) -> str:
    plain = {
        "partitions": [{"batch": 8, "group": 2}],
        "steps": 5,
        "validation": 12,
        "targets": "live",
        "stored": "float32",
        "optimiser": {"warmup": 2, "learning_rate": 1e-4},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(plain))
    return str(path)


def _words(recipe: str, out: Path) -> list[str]:
    return ["distill", "e_radio_mini_s", "--config", recipe, "--out", str(out), "--device", "cpu"]


def _student(out: Path) -> dict[str, Tensor]:
    return load_file(out / "student.safetensors")


def _moments(out: Path) -> dict[int, Tensor]:
    """The running mean of each weight's gradient."""
    (path,) = (out / "checkpoints").glob("rung-*.pt")
    state = torch.load(path, weights_only=True)["optimiser"]["state"]
    return {place: one["exp_avg"] for place, one in state.items()}


def _close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """To what five steps make of rounding; a training that differs in kind is a hundred times as far."""
    assert first.keys() == second.keys()
    apart = sum(float((first[name].double() - second[name].double()).square().sum()) for name in first)
    size = sum(float(first[name].double().square().sum()) for name in first)
    assert (apart / size) ** 0.5 < 2e-5


@pytest.mark.parametrize("options", [["--micro-batch", "4"], ["--micro-batch", "2"], ["--checkpointing"]])
def test_smaller_pieces_and_recomputed_activations_change_nothing_but_rounding(
    tmp_path: Path, options: list[str]
) -> None:
    recipe = _recipe(tmp_path)
    assert run_command(_words(recipe, tmp_path / "whole")) == 0
    assert run_command([*_words(recipe, tmp_path / "cut"), *options]) == 0
    _close(_student(tmp_path / "whole"), _student(tmp_path / "cut"))


def test_another_group_is_another_training(tmp_path: Path) -> None:
    assert run_command(_words(_recipe(tmp_path), tmp_path / "two")) == 0
    assert run_command(_words(_recipe(tmp_path, partitions=[{"batch": 8, "group": 4}]), tmp_path / "four")) == 0
    with pytest.raises(AssertionError):
        _close(_student(tmp_path / "two"), _student(tmp_path / "four"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"partitions": TWO, "weighting": {"kind": "adaloss"}, "average": 0.9, "balance": {"spatial": "phi-s"}},
        {"partitions": TWO, "weighting": {"kind": "uncertainty"}, "optimiser": {"kind": "lamb", "frozen": 2}},
        {"partitions": TWO, "targets": "cached"},
    ],
    ids=["one partition", "two, adaloss, averaged, balanced", "two, uncertainty, LAMB, frozen at first", "two, cached"],
)
def test_two_processes_are_one(tmp_path: Path, changes: dict[str, object]) -> None:
    """As torchrun starts them: by a recipe's partitions, each with its own teachers, resolutions and batch."""
    recipe = _recipe(tmp_path, **changes)
    assert run_command(_words(recipe, tmp_path / "one")) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "eradio", *_words(recipe, tmp_path / "two"), "--workers", "1"]
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    _close(_student(tmp_path / "one"), _student(tmp_path / "two"))
    first, second = (_moments(tmp_path / name) for name in ("one", "two"))
    assert first.keys() == second.keys()
    noise = 1e-4 * max(float(moment.abs().max()) for moment in first.values())  # of weights before a norm: nothing else
    for name, moment in first.items():  # the steps themselves would not tell a gradient that is twice as large
        assert torch.allclose(moment, second[name], rtol=0.05, atol=0.02 * float(moment.abs().max()) + noise), name
    one, two = ((tmp_path / name / "losses.csv").read_text().splitlines() for name in ("one", "two"))
    for first, second in zip(one[1:], two[1:], strict=True):
        numbers = [[float(cell) for cell in line.split(",") if cell] for line in (first, second)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


def test_half_precision_and_averages_are_other_students(tmp_path: Path) -> None:
    recipes = {"plain": {}, "half": {"precision": "bfloat16"}, "averaged": {"average": 0.5}}
    for name, changes in recipes.items():
        assert run_command(_words(_recipe(tmp_path, **changes), tmp_path / name)) == 0
    plain, half, averaged = (_student(tmp_path / name) for name in recipes)
    assert all(value.isfinite().all() for value in half.values())
    key = "backbone.stem.0.weight" if "backbone.stem.0.weight" in plain else next(k for k in plain if "weight" in k)
    assert not torch.equal(plain[key], half[key])
    assert not torch.equal(plain[key], averaged[key])
