"""Why a throughput is what it is: memory, latency, energy, where the time goes, and how near the roof that is."""

import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from eradio.description import Description
from eradio.errors import EradioError, MachineError
from eradio.locks import DeviceLock
from eradio.profile.energy import EnergyMeter
from eradio.profile.engines.base import Layer
from eradio.profile.engines.eager import brought, exact
from eradio.profile.latency import Latency, latency
from eradio.profile.memory import Footprint, weights_bytes
from eradio.profile.ready import Ready, job_of
from eradio.profile.roofline import Roof, Roofline, under_roof
from eradio.profile.shares import Shares, shares
from eradio.profile.target import Target

_ENERGY_SECONDS = 2.0


class Explanation(Description):
    """What is known of one network beside its throughput; None for what this machine or engine does not tell."""

    weights_bytes: int | None
    """In the target's precision; None for an ONNX file."""
    peak_bytes: int | None
    """The most memory that a process of its own took to hold and run the network at the target's batch."""
    peak_missing: str | None = None
    """Why that is not known, where there is a reason."""
    joules_a_picture: float | None
    """Of the whole processor package or GPU while the network ran, whatever else did."""
    latency: Latency | None
    """Of single calls on one picture, in elapsed time."""
    latency_missing: str | None = None
    """Why it is not known: the engine refused one picture a call, or computed something else."""
    shares: Shares | None
    """Where the time of a call goes in eager PyTorch; None for an ONNX file."""
    layers: tuple[Layer, ...]
    """Where it goes by the engine's own account."""
    roofline: Roofline | None


def explained(
    ready: Ready,
    target: Target,
    images_per_second: float,
    roof: Roof | None,
    lock: DeviceLock,
    watch: Callable[[float], None],
    memory: Footprint | None = None,
) -> Explanation:
    """Look into a network that is prepared; the device is held alone while calls are timed, and no longer.

    Args:
        ready: the network.
        target: what it was measured on.
        images_per_second: as measured.
        roof: the machine's, in the target's precision.
        lock: the device.
        watch: told which share of the latency's calls is done.
        memory: what it took by itself, if that was watched.
    """
    module, paper = ready.module, ready.paper
    weights = None if module is None else weights_bytes(module, target.precision)
    under = None
    if roof is not None and paper is not None and weights is not None:
        under = under_roof(
            roof,
            images_per_second=images_per_second,
            gmacs=paper.gmacs,
            activations=paper.activations,
            weights=weights,
            batch=target.batch,
        )
    joules = _energy(ready, target, lock)
    single, missing = _latency(ready, target, lock, watch)
    return Explanation(
        weights_bytes=weights,
        peak_bytes=memory and memory.peak_bytes,
        peak_missing=memory and memory.missing(),
        joules_a_picture=joules,
        latency=single,
        latency_missing=missing,
        shares=None if module is None else _shares(module, target, lock),
        layers=ready.prepared.layers(),
        roofline=under,
    )


def _energy(ready: Ready, target: Target, lock: DeviceLock) -> float | None:
    if EnergyMeter(target.device).joules() is None:
        return None
    with lock.measuring():
        meter, calls = EnergyMeter(target.device), 0
        until = time.perf_counter() + _ENERGY_SECONDS
        while time.perf_counter() < until:
            ready.prepared.run()
            calls += 1
        joules = meter.joules()
    return None if joules is None else joules / (calls * target.batch)


def _latency(
    ready: Ready, target: Target, lock: DeviceLock, watch: Callable[[float], None]
) -> tuple[Latency | None, str | None]:
    """The latency, or why there is none."""
    single = target.model_copy(update={"batch": 1})
    try:
        same = nullcontext(ready.prepared) if target.batch == 1 else ready.on(single)
        with same as prepared, lock.measuring():
            found = latency(
                prepared.run,
                clock=time.perf_counter,
                watch=watch,
                min_calls=target.protocol.latency_calls,
                max_seconds=target.protocol.latency_seconds,
            )
            return found, None
    except MachineError:
        raise
    except EradioError as error:
        return None, str(error)


def _shares(module: torch.nn.Module, target: Target, lock: DeviceLock) -> Shares:
    """In the target's precision; int8 has none of its own in PyTorch."""
    job = job_of(target.model_copy(update={"precision": "fp32"}) if target.precision == "int8" else target)
    copied, pictures = brought(module, job)
    with lock.measuring(), exact(pictures.device):
        return shares(copied, pictures, target.threads)
