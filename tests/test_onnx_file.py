"""A written network runs in ONNX Runtime and computes the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from eradio import onnx_file
from eradio.onnx_file import write_onnx

PICTURES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.requires_grad_(False).eval()

    def forward(self, pictures):
        maps = self.stem(pictures)
        return maps.mean((2, 3)), maps


def answers(path, pictures):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()], session.run(None, {"pictures": pictures.numpy()})


@pytest.mark.parametrize("given", [PICTURES, PICTURES[:1]], ids=["two", "one"])
def test_a_file_for_any_batch_takes_other_batches_than_it_was_written_with(given, tmp_path):
    module, others = Small(), torch.cat([PICTURES, PICTURES + 1])
    write_onnx(module, given, tmp_path / "small.onnx", any_batch=True, outputs=("summary", "spatial"))
    names, outputs = answers(tmp_path / "small.onnx", others)
    assert names == ["summary", "spatial"]
    for ours, theirs in zip(module(others), outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_file_for_one_batch_has_its_shape_written_in(tmp_path):
    write_onnx(Small(), PICTURES, tmp_path / "small.onnx", any_batch=False)
    (pictures,) = onnx.load(tmp_path / "small.onnx").graph.input
    assert [size.dim_value for size in pictures.type.tensor_type.shape.dim] == list(PICTURES.shape)


def test_writing_is_quiet(tmp_path, capfd, recwarn):
    write_onnx(Small(), PICTURES, tmp_path / "small.onnx", any_batch=True)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


def test_weights_that_one_file_cannot_hold_lie_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_LARGEST_FILE", 100)
    module = Small()
    write_onnx(module, PICTURES, tmp_path / "small.onnx", any_batch=True)
    assert (tmp_path / "small.onnx.data").is_file()
    _, (summary, _) = answers(tmp_path / "small.onnx", PICTURES)
    np.testing.assert_allclose(module(PICTURES)[0], summary, atol=1e-5)
