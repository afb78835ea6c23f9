"""PyTorch without any compiler: channels last, inference mode."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from eradio.profile.engines.base import Flat, Job, Outputs, Prepared

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Eager:
    """Runs the module as it stands, its weights and pictures in the precision asked for."""

    name = "eager"

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        return TorchPrepared(*brought(module, job), job.threads)


def brought(module: nn.Module, job: Job) -> tuple[nn.Module, Tensor]:
    """A copy of the network, flat, and the pictures, on the device and in the type of the job."""
    device, dtype = torch.device(job.device), TYPES[job.precision]
    flat = Flat(copy.deepcopy(module)).to(device, dtype).to(memory_format=torch.channels_last)
    return flat, job.pictures.to(device, dtype, memory_format=torch.channels_last)


class TorchPrepared(Prepared):
    """A module that PyTorch calls."""

    def __init__(self, flat: Callable[[Tensor], tuple[Tensor, ...]], pictures: Tensor, threads: int) -> None:
        self._flat = flat
        self._pictures = pictures
        self._threads = threads

    def run(self, calls: int = 1) -> None:
        """See `Prepared.run`."""
        self._call(calls)
        if self._pictures.is_cuda:
            torch.cuda.synchronize()

    def outputs(self) -> Outputs:
        """See `Prepared.outputs`."""
        return tuple(np.array(tensor.float().cpu().numpy()) for tensor in self._call(1))

    def close(self) -> None:
        """See `Prepared.close`."""
        self._flat = tuple
        if self._pictures.is_cuda:
            torch.cuda.empty_cache()

    def _call(self, calls: int) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = ()
        with torch_threads(self._threads), exact(self._pictures.device), torch.inference_mode():
            for _ in range(calls):
                outputs = self._flat(self._pictures)
        return outputs


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """float32 means float32 on a GPU too (its convolutions use TF32 unasked), and shapes are fixed, so the fastest
    algorithm for each may be looked for. Elsewhere it does nothing."""
    if device.type != "cuda":
        yield
        return
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads, then as many as before."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
