"""Trainings on a real GPU: that they run, resume, and are those of a CPU but for half precision."""

import csv
import socket
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from eradio.cli import run_command
from eradio.distill.data import open_data
from eradio.distill.pages import Page
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.targets import LiveTargets

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none"),
]
SMALL = {"partitions": [{"batch": 8, "group": 4}], "steps": 6, "validation": 8, "optimiser": {"warmup": 2}}
EVERYTHING = {
    "partitions": [{"batch": 8, "group": 4, "resolution": [64, 48]}],
    "teachers": [{"kind": kind, "name": kind, "view": "pictures"} for kind in ("clip", "dino")],
    "balance": {"summary": "phi-s", "spatial": "phi-s", "pictures": 64},
    "stored": "int8",
    "shift": 1,
    "alignment": {"resolution": [32, 80]},
    "vit": {"positions": 0.5, "windows": [2, 4], "spectral": True},
    "weighting": {"kind": "adaloss"},
    "precision": "bfloat16",
    "average": 0.9,
}
VIT = {
    "name": "vit_tiny_patch16_224",
    "options": {
        "img_size": 64, "patch_size": 8, "embed_dim": 32, "depth": 8, "num_heads": 2, "dynamic_img_size": True,
    },
}  # fmt: skip


def _taught(folder: Path, name: str, device: str, *options: str, network: str = "e_radio_mini_s", **changes) -> Path:
    recipe, out = folder / f"{name}.yaml", folder / name
    recipe.write_text(yaml.safe_dump({**SMALL, **changes}))
    words = ["distill", network, "--config", str(recipe), "--out", str(out), "--device", device, *options]
    assert run_command(words) == 0
    return out


def _losses(out: Path) -> list[float]:
    with (out / "losses.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_a_gpu_s_training_is_a_cpu_s_but_for_half_precision(tmp_path):
    changes = {"targets": "live", "optimiser": {"warmup": 2, "learning_rate": 1e-4}}
    there, here = (_losses(_taught(tmp_path, device, device, **changes)) for device in ("cuda", "cpu"))
    assert there == pytest.approx(here, rel=0.02)


@pytest.mark.parametrize("targets", ["live", "cached"])
def test_everything_at_once(tmp_path, targets):
    network = tmp_path / "vit.yaml"
    network.write_text(yaml.safe_dump(VIT))
    for one in ("e_radio_mini_s", str(network)):
        name = f"{Path(one).stem}-{targets}"
        out = _taught(tmp_path, name, "cuda", "--micro-batch", "4", network=one, targets=targets, **EVERYTHING)
        assert all(value.isfinite().all() for value in load_file(out / "student.safetensors").values())


def test_cached_targets_are_the_live_ones(tmp_path):
    live, cached = (_losses(_taught(tmp_path, targets, "cuda", targets=targets)) for targets in ("live", "cached"))
    assert cached == pytest.approx(live, rel=1e-4)


def test_a_process_group_of_one_speaks_by_nccl(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    alone = _losses(_taught(tmp_path, "alone", "cuda", targets="live"))
    for key, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MASTER_PORT", port)
    torch.distributed.init_process_group("nccl", rank=0, world_size=1)
    try:
        grouped = _losses(_taught(tmp_path, "grouped", "cuda", targets="live"))
    finally:
        torch.distributed.destroy_process_group()
    assert grouped == pytest.approx(alone, rel=1e-3)


def test_compiled_teachers_answer_what_the_others_do_but_for_half_precision():
    recipe = Recipe(partitions=(Partition(batch=4),), validation=4, steps=2)
    data, page = open_data(recipe), Page("train", 0)
    plain, compiled = (
        LiveTargets(recipe, *data, device="cuda", compiled=choice).exact(page) for choice in (False, True)
    )
    for name, answer in plain.items():
        torch.testing.assert_close(compiled[name].spatial, answer.spatial, rtol=0.05, atol=0.05)
