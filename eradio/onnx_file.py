"""A network as an ONNX file."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.files import write_atomically
from eradio.tracing import quietly, traced

OPSET = 20
_LARGEST_FILE = 1_900_000_000


def write_onnx(
    module: nn.Module, pictures: Tensor, path: Path, *, any_batch: bool, outputs: Sequence[str] | None = None
) -> None:
    """Write a network as ONNX, from `pictures` to its outputs; a large one gets a second file `NAME.onnx.data`.

    Args:
        module: in eval mode on the CPU; answers with a tensor or a plain tuple of tensors.
        pictures: [B, 3, H, W]; their sides are what the file takes.
        path: the file to write.
        any_batch: whether the file takes any number of pictures, or exactly B.
        outputs: names of the outputs; the exporter's own if None.

    Raises:
        EradioError: onnxscript is missing.
    """
    write_program(traced(module, pictures, any_batch=any_batch), path, outputs=outputs)


def write_program(program: torch.export.ExportedProgram, path: Path, *, outputs: Sequence[str] | None = None) -> None:
    """Write a network that is already traced. See `write_onnx`."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise EradioError("The export to ONNX needs onnx and onnxscript. Run: pip install 'eradio[onnx]'")
    with quietly():
        model = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["pictures"],
            output_names=outputs,
            verbose=False,
        )
        assert model is not None
        if sum(value.nbytes for value in program.state_dict.values()) > _LARGEST_FILE:
            model.save(path, external_data=True)  # protobuf cannot hold more than two gigabytes in one file
        else:
            write_atomically(path, lambda file: model.save(file, external_data=False))
    for value in model.model.graph.initializers.values():
        value.const_value = None  # the exporter's rewrite rules remember the last graph, and with it all weights
