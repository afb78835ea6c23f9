"""A study's trials on a real GPU."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from eradio.study.config import StudyConfig
from eradio.study.reading import read_study
from eradio.study.search import search

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and PyTorch sees none"),
]


def test_workers_teach_on_the_gpu_they_see(tmp_path: Path) -> None:
    config = StudyConfig.parse(
        {
            "trials": 2,
            "finalists": 1,
            "finalist_steps": 6,
            "baselines": "none",
            "recipe": {"steps": 4, "partitions": [{"batch": 4}], "validation": 4, "targets": "shared"},
            "target": {"engine": "eager", "device": "cuda", "batch": 1},
        },
        "test",
    )
    search(tmp_path, config, 1, Console(quiet=True))
    study = read_study(tmp_path)
    assert [trial.end for trial in study.trials if trial.duplicate_of is None] == ["complete"] * 2
    assert study.trials[0].manifest["taught on"] == "cuda"
    assert study.finalists[0].reason is None
