"""How near a network comes to what the machine can do at all (Williams, Waterman and Patterson 2009)."""

import time
from collections.abc import Callable
from typing import Literal

import torch
from torch.nn.functional import conv2d

from eradio.description import Description
from eradio.profile.engines.base import Device, Precision
from eradio.profile.engines.eager import TYPES, torch_threads

_SECONDS = 0.5
_SIDE = {"cpu": 1024, "cuda": 8192}
_CHANNELS, _MAP = 256, 64
_COPIED = {"cpu": 1 << 27, "cuda": 1 << 30}
"""Bytes; several times what the caches hold."""


class Roof(Description):
    """What the machine reaches in PyTorch at best: the fastest of many tries, not the median."""

    precision: Precision
    threads: int
    gflops: float
    """Of a large matrix product, or on the CPU of a convolution if that is faster; a multiply-accumulate is two."""
    gigabytes_per_second: float
    """Read and written by a copy of an array that fits no cache."""

    def attainable(self, intensity: float) -> float:
        """GFLOP/s at an arithmetic intensity in FLOP per byte."""
        return min(self.gflops, intensity * self.gigabytes_per_second)


class Roofline(Description):
    """One network under the roof."""

    roof: Roof
    intensity: float
    """FLOP per byte: every weight read once a batch, every activation written once and read once. Engines that merge
    operations move less; element-wise operations, which move more, are not counted."""
    gflops: float
    """Reached: multiply-accumulates times two, times images/s."""
    share: float
    """Of what is attainable at this intensity; above 1 where an engine moves less than assumed."""
    bound: Literal["compute", "memory"]
    """Which side of the ridge the network is on."""


def measured_roof(precision: Precision, device: Device, threads: int) -> Roof | None:
    """Measure the roof in about two seconds; None in int8, for which PyTorch has no matrix product of its own.

    On some CPUs the library of matrix products leaves half of the vector units idle that oneDNN's convolutions use. On
    a GPU a convolution tells nothing: cuDNN may compute it with fewer multiplications than are counted.
    """
    if precision not in TYPES:
        return None
    dtype, side = TYPES[precision], _SIDE[device]
    with torch_threads(threads), torch.inference_mode():
        left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        reached = [2 * side**3 / _fastest(lambda: left @ right, device, threads)]
        if device == "cpu":
            pictures, weights = torch.randn(1, _CHANNELS, _MAP, _MAP), torch.randn(_CHANNELS, _CHANNELS, 3, 3)
            pictures, weights = (one.to(dtype=dtype, memory_format=torch.channels_last) for one in (pictures, weights))
            products = 9 * _CHANNELS**2 * _MAP**2
            reached.append(2 * products / _fastest(lambda: conv2d(pictures, weights, padding=1), device, threads))
        source = torch.zeros(_COPIED[device], dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copy = _fastest(lambda: target.copy_(source), device, threads)
    return Roof(
        precision=precision,
        threads=threads,
        gflops=max(reached) / 1e9,
        gigabytes_per_second=2 * source.numel() / copy / 1e9,
    )


def under_roof(
    roof: Roof, *, images_per_second: float, gmacs: float, activations: int, weights: int, batch: int
) -> Roofline:
    """Where a measured network is.

    Args:
        roof: of the machine, in the network's precision.
        images_per_second: as measured.
        gmacs: giga multiply-accumulates of one picture.
        activations: elements put out by convolutions and matrix products for one picture.
        weights: bytes of all weights.
        batch: pictures a call.
    """
    size = torch.empty((), dtype=TYPES[roof.precision]).element_size()
    moved = weights / batch + 2 * activations * size
    intensity, reached = 2e9 * gmacs / moved, 2 * gmacs * images_per_second
    return Roofline(
        roof=roof,
        intensity=intensity,
        gflops=reached,
        share=reached / roof.attainable(intensity),
        bound="compute" if roof.attainable(intensity) == roof.gflops else "memory",
    )


def _fastest(work: Callable[[], object], device: Device, threads: int) -> float:
    stopwatch = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < until or best == float("inf"):
        start = stopwatch()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, stopwatch() - start)
    return best
