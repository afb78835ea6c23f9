"""Tiny teachers' folders, written once."""

from pathlib import Path

import pytest
import torch

from eradio.distill.teachers.sam import SamConfig
from eradio.pretrain.clip import ClipObjective
from eradio.pretrain.dino import DinoObjective
from eradio.pretrain.objective import Objective
from eradio.pretrain.sam import SamObjective
from eradio.pretrain.train import save


def tiny(kind: str) -> Objective:
    torch.manual_seed(0)
    if kind == "clip":
        return ClipObjective(0, batch=4, width=32, depth=1)
    if kind == "dino":
        return DinoObjective(0, batch=4, width=32, depth=1, prototypes=8)
    return SamObjective(0, batch=4, config=SamConfig(width=32, depth=1, heads=1, global_blocks=(0,), prompt_width=32))


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("teachers")
    for kind in ("clip", "dino", "sam"):
        save(tiny(kind), root / kind)
    return {kind: root / kind for kind in ("clip", "dino", "sam")}
