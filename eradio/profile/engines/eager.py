"""PyTorch without any compiler: float32, channels last, inference mode."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from eradio.profile.engines.base import Flat, Outputs, Prepared


class Eager:
    """Runs the module as it stands."""

    name = "eager"

    def prepare(self, module: nn.Module, pictures: Tensor, threads: int) -> Prepared:
        """See `Engine.prepare`."""
        return _Prepared(copy.deepcopy(module).to(memory_format=torch.channels_last), pictures, threads)


class _Prepared(Prepared):
    def __init__(self, module: nn.Module, pictures: Tensor, threads: int) -> None:
        self._flat = Flat(module)
        self._pictures = pictures.contiguous(memory_format=torch.channels_last)
        self._threads = threads

    def run(self) -> None:
        self._call()

    def outputs(self) -> Outputs:
        return tuple(tensor.numpy().astype(np.float32, copy=True) for tensor in self._call())

    def close(self) -> None:
        pass

    def _call(self) -> tuple[Tensor, ...]:
        with torch_threads(self._threads), torch.inference_mode():
            outputs: tuple[Tensor, ...] = self._flat(self._pictures)
            return outputs


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
