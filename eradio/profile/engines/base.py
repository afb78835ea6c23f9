"""The contract of an engine: prepare a network for one fixed batch, run it, close it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Outputs = tuple[NDArray[np.float32], ...]


class Prepared(ABC):
    """A network converted for one batch; `with` closes it."""

    @abstractmethod
    def run(self) -> None:
        """One call on the batch, finished when this returns. This is what is timed: no more belongs in it."""

    @abstractmethod
    def outputs(self) -> Outputs:
        """Outputs of one call as arrays of their own, in the order of `tensors_in`."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `prepare` took. Afterwards nothing may be called, except this again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Engine(Protocol):
    """Something that runs networks. A new one must pass `tests/contracts/engine.py`."""

    name: str

    def prepare(self, module: nn.Module, pictures: Tensor, threads: int) -> Prepared:
        """Convert, compile and load; slow, and done outside the device's lock.

        Args:
            module: a network in eval mode on the CPU, in float32; it is left as it was.
            pictures: [B, 3, H, W] float32; shape and content are fixed for every call.
            threads: number of CPU threads one call may use.

        Raises:
            EradioError: the engine cannot run this network.
        """
        ...


def tensors_in(output: object) -> tuple[Tensor, ...]:
    """The tensors of a network's output in a fixed order; the output may nest tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return (output,)
    if isinstance(output, dict):
        return tensors_in([output[key] for key in sorted(output)])
    if isinstance(output, tuple | list):
        return tuple(tensor for part in output for tensor in tensors_in(part))
    return ()


class Flat(nn.Module):
    """A network whose output is a plain tuple of tensors: what tracing and exporting understand."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = module.training

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] to the tensors of the network's output."""
        return tensors_in(self.module(pictures))
