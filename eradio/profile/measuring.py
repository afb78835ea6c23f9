"""From a network and a target to a measurement."""

import copy
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from eradio.errors import NetworkError
from eradio.locks import DeviceLock
from eradio.profile.agreement import agreement
from eradio.profile.alone import rate
from eradio.profile.canary import VERSION, Canary, reference_for
from eradio.profile.complexity import complexity
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Job, Prepared
from eradio.profile.engines.eager import Eager
from eradio.profile.randomise import randomise_constants
from eradio.profile.record import CallTimes, Measurement, Reference, environment_digest, identity
from eradio.profile.target import Target
from eradio.profile.throughput import compare
from eradio.profile.warming import Clock
from eradio.search_space import Architecture, Backbone, Network, build, deploy, windows_at

_CALIBRATION_PATIENCE = 4
"""The canary's rate is measured once for all networks, so it may take this many times as long as one of them."""


def measure(network: Network, target: Target, *, canary_folder: Path, lock: DeviceLock | None) -> Measurement:
    """Build a network with random weights and measure it.

    Args:
        network: what to build; its digest names the measurement.
        target: engine, batch, resolution, threads and protocol.
        canary_folder: where the canary's stored rates live; measurements against one folder share a unit.
        lock: the device, held alone while calls are timed; None where nothing else can be running.

    Raises:
        EradioError: the engine is missing, cannot run the network, or computes something else.
    """
    found = measure_module(build(network), network.digest(), target, canary_folder=canary_folder, lock=lock)
    if not isinstance(network, Architecture):
        return found
    return found.model_copy(update={"windows": windows_at(network, (target.resolution, target.resolution))})


def measure_module(
    module: nn.Module, digest: str, target: Target, *, canary_folder: Path, lock: DeviceLock | None
) -> Measurement:
    """Measure a network that is already built; `digest` must name its architecture. See `measure`.

    What runs is the deploy form: batch norms folded and position biases computed, as far as they are ours, and what
    timm offers of the kind for its own. What is counted is the network as it is trained.
    """
    module = copy.deepcopy(module).float().eval().requires_grad_(False)
    randomise_constants(module)
    pictures = fixed_pictures(target)
    _try(module, pictures)
    paper = complexity(module, target.resolution)
    engine, job = load_engine(target.engine), job_of(target)
    module = deployed(module, target.resolution)
    with engine.prepare(module, job) as candidate, engine.prepare(Canary(), job) as canary:
        with Eager().prepare(module, Job(pictures, target.threads)) as eager:
            close = agreement(candidate.outputs(), eager.outputs(), target.engine, target.precision)
        with lock.measuring() if lock else nullcontext():
            reference = reference_for(target, canary_folder, lambda: _calibrate(canary, target))
            (reading,) = compare(
                [candidate.run],
                canary.run,
                target.protocol,
                clock=time.perf_counter,
                stopwatch=stopwatch(target),
                samples_a_call=target.batch,
            )
            load = _load()
    return Measurement(
        identity=identity(digest, target),
        network=digest,
        target=target,
        environment=environment_digest(),
        throughput=reading.ratio.scaled(reference.images_per_second),
        ratio=reading.ratio,
        verdict="settled" if reading.settled else "unsettled",
        latency_ms=float(np.median(reading.pairs.candidate)) * 1e3,
        calls=reading.calls,
        seconds=reading.seconds,
        canary=reference,
        parameters=paper.parameters,
        gmacs=paper.gmacs,
        activations=paper.activations,
        agreement=close,
        times=_quantiles(reading.pairs.candidate),
        canary_times=_quantiles(reading.pairs.canary),
        load=load,
    )


def deployed(module: nn.Module, resolution: int) -> nn.Module:
    """The deploy form for one resolution, as far as it is ours; what timm offers of the kind for its own networks."""
    if isinstance(module, Backbone):
        return deploy(module, (resolution, resolution))
    fused: nn.Module = reparameterize_model(module)
    return fused


def _try(module: nn.Module, pictures: Tensor) -> None:
    """One picture through the network, since what it refuses is better said once, before any engine says it.

    Raises:
        NetworkError: it does not take pictures of this size.
    """
    try:
        with torch.inference_mode():
            module(pictures[:1])
    except NetworkError:
        raise
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        side, why = pictures.shape[2], " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise NetworkError(
            f"This network does not take {side}x{side} pixels: {why[:200]}. Choose another resolution."
        ) from None


def calibrate(target: Target, *, canary_folder: Path, lock: DeviceLock | None) -> Reference:
    """The canary's rate, to which images per second refer: measured if the folder does not have it yet.

    To be called while the machine does nothing else of ours, so that one folder's unit is an idle machine's.

    Raises:
        EradioError: the engine is missing.
    """
    with (
        load_engine(target.engine).prepare(Canary(), job_of(target)) as canary,
        lock.measuring() if lock else nullcontext(),
    ):
        return reference_for(target, canary_folder, lambda: _calibrate(canary, target))


def stopwatch(target: Target) -> Clock:
    """What a call is charged: with one thread the processor time of this process, else elapsed time.

    Other processes on the same cores stretch elapsed time by the turns they take, which no network is to blame
    for; where nothing else runs, the two are equal. With several threads processor time is no latency.
    """
    return time.process_time if target.threads == 1 and target.device == "cpu" else time.perf_counter


def _calibrate(canary: Prepared, target: Target) -> Reference:
    """The canary alone: its median rate, with the interval that all images per second of this store share."""
    found = rate(
        canary.run,
        target.protocol,
        patience=_CALIBRATION_PATIENCE,
        clock=time.perf_counter,
        stopwatch=stopwatch(target),
    )
    return Reference(canary=VERSION, images_per_second=target.batch * found.value, half_width=found.half_width())


def job_of(target: Target) -> Job:
    """What a target asks of an engine."""
    return Job(fixed_pictures(target), target.threads, target.precision, target.device)


def fixed_pictures(target: Target) -> Tensor:
    """The batch every network is measured on: [B, 3, R, R] float32 in [0, 1], always the same."""
    shape = (target.batch, 3, target.resolution, target.resolution)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _quantiles(seconds: NDArray[np.float64]) -> CallTimes:
    fastest, quarter, middle, three_quarters, slowest = np.quantile(seconds * 1e3, [0, 0.25, 0.5, 0.75, 1])
    return CallTimes(fastest=fastest, quarter=quarter, median=middle, three_quarters=three_quarters, slowest=slowest)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
