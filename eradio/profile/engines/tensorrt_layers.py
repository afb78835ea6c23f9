"""Where the time of a TensorRT engine goes, by TensorRT's own profiler."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorrt as trt
import torch

from eradio.profile.engines.base import Layer

_CALLS = 10


def layers_of(plans: Iterable[Path]) -> tuple[Layer, ...]:
    """The layers of each engine in turn, with the median of some calls on inputs of zeros."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    return tuple(layer for plan in plans for layer in _layers(runtime.deserialize_cuda_engine(plan.read_bytes())))


class _Times(trt.IProfiler):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, list[float]] = {}

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        self.of.setdefault(layer_name, []).append(ms)


def _layers(engine: "trt.ICudaEngine") -> list[Layer]:
    context, times = engine.create_execution_context(), _Times()
    context.profiler = times  # from here on a call waits for its layers, and reports them
    held = []
    for place in range(engine.num_io_tensors):
        name = engine.get_tensor_name(place)
        count = math.prod(engine.get_tensor_shape(name)) * engine.get_tensor_dtype(name).itemsize
        held.append(torch.zeros(int(count), dtype=torch.uint8, device="cuda"))
        context.set_tensor_address(name, held[-1].data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    for _ in range(_CALLS + 1):
        context.execute_async_v3(stream.cuda_stream)
    stream.synchronize()
    return [
        Layer(name=name, kind=_kind(name), milliseconds=float(np.median(found[1:]))) for name, found in times.of.items()
    ]


def _kind(name: str) -> str:
    """What a name says: `[CONVOLUTION]-[aten_ops...]` is a converter's, `__myl_MulAdd_...` a fusion's."""
    match = re.match(r"\[(\w+)\]|__myl_([A-Za-z]+)", name)
    return (match[1] or match[2]) if match else "other"
