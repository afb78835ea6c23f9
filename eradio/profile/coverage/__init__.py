"""Whether TensorRT takes a network, found without a device: real lowering, a real parser and a real engine.

torch-tensorrt itself needs libraries that are not on the package index and a driver to import. TensorRT-RTX is the
same Python code (the same converters) on libraries that are, and its builder needs no driver to build ahead of time.
"""

import gc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from eradio.errors import EradioError
from eradio.files import read_json
from eradio.onnx_file import write_program
from eradio.profile.coverage.environment import Worker, folder, install_line, pins
from eradio.profile.coverage.report import Built, Coverage, Lowered, Refused, coverage_table
from eradio.profile.engines.base import Flat
from eradio.profile.ready import deployed
from eradio.tracing import traced

__all__ = [
    "Built",
    "Coverage",
    "Lowered",
    "Refused",
    "Worker",
    "coverage",
    "coverage_table",
    "folder",
    "install_line",
    "pins",
]


def coverage(module: nn.Module, resolution: int, batch: int, name: str, worker: Worker | None = None) -> Coverage:
    """Ask torch-tensorrt and TensorRT-RTX for a network's deploy form. Takes seconds to minutes, and no device.

    Args:
        module: a network in eval mode on the CPU, in float32 or float16; it is left as it was.
        resolution: side of the pictures, in pixels.
        batch: pictures a call.
        name: what the answer calls the network.
        worker: one that asks for several networks in turn; a new one if None.

    Raises:
        EradioError: TensorRT-RTX or onnxscript is not installed.
    """
    if worker is None:
        with Worker() as worker:
            return coverage(module, resolution, batch, name, worker)
    with TemporaryDirectory(prefix="eradio-coverage-") as kept:
        here = Path(kept)
        answers = _write(module, resolution, batch, here)
        gc.collect()  # programs hold their weights in cycles, and the worker wants as much memory again
        if "lowering" not in answers:
            answers = {**_ask(worker, here), **answers}
    return Coverage.parse({"network": name, "resolution": resolution, "batch": batch, **answers}, "TensorRT-RTX")


def _write(module: nn.Module, resolution: int, batch: int, here: Path) -> dict[str, Any]:
    """Write what the worker reads; the refusal of each part that could not be written."""
    dtype = next((value.dtype for value in module.parameters()), torch.float32)
    pictures = torch.zeros(batch, 3, resolution, resolution, dtype=dtype)
    try:
        program = traced(Flat(deployed(module, resolution)).eval(), pictures, any_batch=False)
        torch.export.save(program, here / "program.pt2")
    except Exception as error:  # whatever a tool raises means that the network is not covered
        refused = {"reason": f"torch.export refuses it: {_words(error)}"}
        return {"lowering": refused, "building": refused}
    try:
        write_program(program, here / "network.onnx")
    except EradioError:
        raise
    except Exception as error:
        return {"building": {"reason": f"the export to ONNX refuses it: {_words(error)}"}}
    return {}


def _ask(worker: Worker, here: Path) -> dict[str, Any]:
    died = worker.ask(here)
    if died is None:
        report: dict[str, Any] = read_json(here / "report.json")
        return report
    return {part: {"reason": died} for part in ("lowering", "building")}


def _words(error: BaseException) -> str:
    """The first cause: exporters wrap it in advice on how to report it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:400] or type(error).__name__
