"""Weights that a candidate begins with."""

import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from eradio.errors import NetworkError, PassingError
from eradio.study.inherit import Inheritance


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)


def test_what_has_a_namesake_of_the_same_shape_is_handed_down(tmp_path: Path) -> None:
    path, student = tmp_path / "student.safetensors", Student()
    save_file({"backbone.weight": torch.ones(2, 2), "backbone.bias": torch.ones(3)}, path)
    before = student.backbone.bias.clone()
    Inheritance(source=str(path), share=0.5).hand_down(student)
    assert torch.equal(student.backbone.weight, torch.ones(2, 2))
    assert torch.equal(student.backbone.bias, before)


def test_weights_that_are_gone_are_the_network_s_trouble_and_a_silent_disk_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Inheritance(source=str(tmp_path / "student.safetensors"), share=0.5)
    with pytest.raises(NetworkError, match="cannot be read"):
        given.hand_down(Student())

    def silent(path: str) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("eradio.study.inherit.load_file", silent)
    with pytest.raises(PassingError, match="Stale file handle"):
        given.hand_down(Student())
