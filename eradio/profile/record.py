"""What a measurement leaves behind, and the identity under which it may be used again."""

import hashlib
from typing import Any, Literal

import torch
from torch import Tensor

from eradio.description import Description, digest_of
from eradio.interval import Interval
from eradio.manifest import environment, versions
from eradio.profile.engines import LISTINGS
from eradio.profile.engines.base import Device, Facts
from eradio.profile.nvml import GpuClock
from eradio.profile.target import Target
from eradio.search_space.windows import StageWindow

EPOCH = 5
"""Raised when the protocol's code changes what a measurement means; older measurements are then made anew."""

Verdict = Literal["settled", "unsettled"]


class Agreement(Description):
    """How close the engine's outputs are to float32 eager, over all outputs."""

    cosine: float
    """Smallest cosine between an output and its reference, each flattened over the whole batch."""
    max_error: float
    """Largest difference, relative to the largest magnitude of the reference output."""


class CallTimes(Description):
    """Raw milliseconds of one call (one batch), by the same clock: quantiles over blocks of calls, never cleaned."""

    fastest: float
    quarter: float
    median: float
    three_quarters: float
    slowest: float


class Reference(Description):
    """The canary's stored rate, which turns a ratio into images per second."""

    canary: str
    """Version of the canary network."""
    images_per_second: float
    half_width: float
    """Relative half-width of the rate's own 95 % interval; it is common to all measurements against it."""


class Measurement(Description):
    """Throughput of one network on one target in one environment."""

    identity: str
    network: str
    target: Target
    environment: str
    """Digest of hardware and library versions."""
    made_at: str
    """UTC, ISO 8601."""
    throughput: Interval
    """Images per second: the ratio times the canary's stored rate."""
    ratio: Interval
    """Throughput divided by the canary's, both on the undisturbed machine, with its 95 % block-bootstrap interval."""
    against_first: Interval | None = None
    """Throughput divided by that of the first network of the same run; None for the first itself."""
    verdict: Verdict
    """Settled: the interval is as narrow as the protocol asks, and the run saw the machine undisturbed."""
    undisturbed: float | None = None
    """Share of the canary's blocks that are as fast as its fastest, where these chose what the ratio is taken from; 1
    if the machine had one state, 0 if it was never as fast as usual. None in older records."""
    latency_ms: float
    """Median milliseconds of one call; processor time where the target has one thread, else elapsed time."""
    calls: int
    seconds: float
    """Elapsed seconds of measuring, without warm-up and conversion."""
    preparation_seconds: float
    """Elapsed seconds of the engine's conversion, compilation and loading."""
    canary: Reference
    parameters: int
    gmacs: float | None
    """Giga multiply-accumulates of one picture; None for an ONNX file, and where `notes` say that it is not known."""
    activations: int | None
    """Elements put out by convolutions and matrix products for one picture; None likewise."""
    windows: tuple[StageWindow, ...] = ()
    """Attention windows, stage by stage, and what they waste at this resolution."""
    agreement: Agreement
    facts: Facts = Facts()
    """What the engine tells of what it prepared."""
    times: CallTimes
    canary_times: CallTimes
    gpu: GpuClock | None = None
    """None on the CPU, and where NVML or its package is missing."""
    notes: tuple[str, ...] = ()
    """What happened to the machine meanwhile, in sentences."""
    load: float | None
    """Load average of the host over the minute before the end; None where the system has none."""
    reused: bool = False
    """Whether another study on this machine measured it, and only the unit of images/s is this one's."""


def identity(network_digest: str, target: Target, calibration: Tensor | None = None) -> str:
    """Digest of network, target, hardware and library versions: equal means the measurement may be reused.

    Args:
        network_digest: of the network.
        target: of the measurement.
        calibration: the pictures that int8 was calibrated on.
    """
    plain: dict[str, Any] = {
        "epoch": EPOCH,
        "network": network_digest,
        "target": target.model_dump(mode="json"),
        "environment": environment_digest(target),
    }
    if target.precision == "int8" and calibration is not None:
        plain["calibration"] = hashlib.sha256(calibration.contiguous().numpy().tobytes()).hexdigest()
    return digest_of(plain)


def environment_digest(target: Target) -> str:
    """Digest of hardware and library versions of this process, those of the target's engine among them."""
    return digest_of(environment_of(target))


def environment_of(target: Target) -> dict[str, Any]:
    """Hardware and library versions of this process, those of the target's engine among them."""
    plain = environment()
    return {**plain, "libraries": {**plain["libraries"], **versions(LISTINGS[target.engine].packages)}}


def gpu_uuid(device: Device) -> str | None:
    """How NVML calls the GPU that a target uses; None on the CPU."""
    return f"GPU-{torch.cuda.get_device_properties(0).uuid}" if device == "cuda" else None
