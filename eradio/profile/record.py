"""What a measurement leaves behind, and the identity under which it may be used again."""

from typing import Any, Literal

from eradio.description import Description, digest_of
from eradio.interval import Interval
from eradio.manifest import environment
from eradio.profile.target import Target
from eradio.search_space.windows import StageWindow

EPOCH = 3
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
    throughput: Interval
    """Images per second: the ratio times the canary's stored rate."""
    ratio: Interval
    """Throughput divided by the canary's, block by block: median and 95 % block-bootstrap interval."""
    verdict: Verdict
    latency_ms: float
    """Median milliseconds of one call; processor time where the target has one thread, else elapsed time."""
    calls: int
    seconds: float
    """Elapsed seconds of measuring, without warm-up and conversion."""
    canary: Reference
    parameters: int
    gmacs: float
    """Giga multiply-accumulates of one picture."""
    activations: int
    """Elements put out by convolutions and matrix products for one picture."""
    windows: tuple[StageWindow, ...] = ()
    """Attention windows, stage by stage, and what they waste at this resolution."""
    agreement: Agreement
    times: CallTimes
    canary_times: CallTimes
    load: float | None
    """Load average of the host over the minute before the end; None where the system has none."""


def identity(network_digest: str, target: Target) -> str:
    """Digest of network, target, hardware and library versions: equal means the measurement may be reused."""
    plain: dict[str, Any] = {
        "epoch": EPOCH,
        "network": network_digest,
        "target": target.model_dump(mode="json"),
        "environment": environment_digest(),
    }
    return digest_of(plain)


def environment_digest() -> str:
    """Digest of hardware and library versions of this process."""
    return digest_of(environment())
