"""The contract of an engine: prepare a network for one fixed batch, run it, close it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from eradio.description import Description

Outputs = tuple[NDArray[np.float32], ...]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Job:
    """What a network is prepared for; all of it stays fixed for every call."""

    pictures: Tensor
    """[B, 3, H, W] float32 on the CPU; engines bring them to their device and type beforehand."""
    threads: int = 1
    """CPU threads one call may use."""
    precision: Precision = "fp32"
    device: Device = "cpu"
    calibration: Tensor | None = None
    """[N, 3, H, W] float32 real pictures in [0, 1] for int8; None for every other precision."""


class Layer(Description):
    """One step of an engine's own account of a call."""

    name: str
    kind: str
    milliseconds: float


class Facts(Description):
    """What an engine can tell of a network it has prepared."""

    artifact_bytes: int | None = None
    """Size of what would be deployed: the engine or model file."""
    build_seconds: float | None = None
    """Elapsed seconds of building the artifact, where that is apart from loading it."""
    timing_cache: str | None = None
    """SHA-256 of the timing cache that was used and pinned."""
    fallback: tuple[str, ...] = ()
    """What the engine leaves to another: one entry a partition, its operators in words."""


class Prepared(ABC):
    """A network converted for one batch; `with` closes it."""

    facts: Facts = Facts()

    @abstractmethod
    def run(self, calls: int = 1) -> None:
        """That many calls in a row, finished when this returns. This is what is timed: no more belongs in it."""

    @abstractmethod
    def outputs(self) -> Outputs:
        """Outputs of one call as arrays of their own, in the order of `tensors_in`."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `prepare` took. Afterwards nothing may be called, except this again."""

    def layers(self) -> tuple[Layer, ...]:
        """The engine's own account of where a call's time goes, in its order; empty where it keeps none.

        Taken in calls of its own, never in those that are timed.
        """
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Engine(Protocol):
    """Something that runs networks. A new one must pass `tests/contracts/engine.py`."""

    name: str

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """Convert, compile and load; slow, and done outside the device's lock.

        Args:
            module: a network in eval mode on the CPU, in float32; it is left as it was.
            job: one whose precision and device the engine's listing has.

        Raises:
            EradioError: the engine cannot run this network.
        """
        ...


def tensors_in(output: object) -> tuple[Tensor, ...]:
    """The tensors of a network's output in a fixed order; the output may nest tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return (output,)
    if isinstance(output, dict):
        return tensors_in([output[key] for key in sorted(output, key=str)])
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
