"""From networks and a target to measurements."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eradio.errors import BuildError, EradioError, MachineError, NoMemoryError, memory_was_short
from eradio.gpu import gpu_lost
from eradio.locks import DeviceLock
from eradio.profile.agreement import agreement
from eradio.profile.alone import rate
from eradio.profile.canary import VERSION, Canary, reference_for, stored_reference
from eradio.profile.clocks import state
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Prepared
from eradio.profile.health import notes
from eradio.profile.nvml import GpuClock, GpuLog
from eradio.profile.ready import Ready, eager_outputs, job_of, made_ready, sentences
from eradio.profile.record import CallTimes, Measurement, Reference, environment_digest, gpu_uuid, identity
from eradio.profile.subject import Subject, subject_of
from eradio.profile.target import STANDARD, Protocol, Target
from eradio.profile.throughput import Reading, compare
from eradio.profile.undisturbed import undisturbed_seconds
from eradio.profile.usual import remember_run, usual_canary
from eradio.profile.warming import Clock
from eradio.search_space import Network

Watch = Callable[[str, float], None]
"""Told what is being done, and which share of it is done, from 0 to 1."""

Look = Callable[[Ready, Measurement], None]

_CALIBRATION_PATIENCE = 4
"""The canary's rate is measured once for all networks, so it may take this many times as long as one in a search."""


def measure(
    network: Network,
    target: Target,
    *,
    canary_folder: Path,
    lock: DeviceLock | None,
    calibration: Tensor | None = None,
    watch: Watch | None = None,
) -> Measurement:
    """Build a network with random weights and measure it. See `measure_all`."""
    with sentences("network", target.engine):
        subject = subject_of("network", network, target.resolution)
    (found,) = measure_all(
        [subject], target, canary_folder=canary_folder, lock=lock, calibration=calibration, watch=watch
    )
    return found


def measure_all(
    subjects: Sequence[Subject],
    target: Target,
    *,
    canary_folder: Path,
    lock: DeviceLock | None,
    calibration: Tensor | None = None,
    watch: Watch | None = None,
    then: Look | None = None,
) -> tuple[Measurement, ...]:
    """Measure networks in one run, their calls in turn, so that all see the same machine.

    Args:
        subjects: the networks; their digests name the measurements.
        target: engine, batch, resolution, threads and protocol.
        canary_folder: where the canary's stored rates live; measurements against one folder share a unit.
        lock: the device, held alone while calls are timed; None where nothing else can be running.
        calibration: [N, 3, H, W] real pictures, which int8 needs.
        watch: told how far the run is.
        then: given each prepared network and its measurement afterwards, when the device is free again.

    Returns:
        One measurement a subject, in their order.

    Raises:
        BuildError: the engine cannot run a network, or computes something else.
        NoMemoryError: nor is there memory for the canary.
        EradioError: the engine is missing, or cannot run the canary either.
    """
    tell = watch or (lambda what, share: None)
    names = " or ".join(one.name for one in subjects)
    with _blamed(target, calibration, tell), ExitStack() as open_ones, sentences(names, target.engine):
        ready = []
        for place, subject in enumerate(subjects):
            tell(f"preparing {subject.name}", place / len(subjects))
            with sentences(subject.name, target.engine):
                ready.append(open_ones.enter_context(made_ready(subject, target, calibration)))
        canary = open_ones.enter_context(load_engine(target.engine).prepare(Canary(), job_of(target, calibration)))
        _check_canary(canary, target, calibration)
        with lock.measuring() if lock else nullcontext():
            tell("measuring", 0.0)
            reference = reference_for(target, canary_folder, lambda: _calibrate(canary, target))
            unit = target.batch / reference.images_per_second
            # A GPU's clock depends on what else is in the run, so one run's canary tells nothing of another's there.
            usual = None if target.device == "cuda" else usual_canary(reference, target, canary_folder)
            gpu, before = GpuLog(gpu_uuid(target.device)), state()

            def watched(share: float) -> None:
                gpu.look()
                tell("measuring", share)

            readings = compare(
                [one.prepared.run for one in ready],
                canary.run,
                target.protocol,
                clock=time.perf_counter,
                stopwatch=stopwatch(target),
                samples_a_call=target.batch,
                usual=usual.seconds if usual else None,
                scatter=usual.scatter if usual else 0.0,
                watch=watched,
            )
            after = state()
            found = tuple(
                _measurement(
                    one,
                    reading,
                    target,
                    reference,
                    gpu.clock(),
                    (
                        *one.notes,
                        *_short(reading, target),
                        *notes(reading.pairs.canary, before, after, unit, usual, reading.undisturbed, gpu.seen),
                    ),
                )
                for one, reading in zip(ready, readings, strict=True)
            )
        if usual is not None:
            together = np.concatenate([reading.pairs.canary for reading in readings])
            remember_run(target, canary_folder, undisturbed_seconds(together))
        for one, measurement in zip(ready, found, strict=True):
            if then is not None:
                then(one, measurement)
    return found


def calibrate(
    target: Target, *, canary_folder: Path, lock: DeviceLock | None, calibration: Tensor | None = None
) -> Reference:
    """The canary's rate, to which images per second refer: measured if the folder does not have it yet.

    To be called while the machine does nothing else of ours, so that one folder's unit is an idle machine's.

    Raises:
        NoMemoryError: there is no memory for it.
        EradioError: the engine is missing, or cannot run it.
    """
    known = stored_reference(target, canary_folder)
    if known is not None:
        return known
    with (
        _reference_network(target),
        load_engine(target.engine).prepare(Canary(), job_of(target, calibration)) as canary,
        lock.measuring() if lock else nullcontext(),
    ):
        return reference_for(target, canary_folder, lambda: _calibrate(canary, target))


@contextmanager
def _reference_network(target: Target) -> Iterator[None]:
    """What keeps the canary from running, as an error of the machine's.

    Raises:
        NoMemoryError: there is no memory for it.
    """
    try:
        with sentences("the reference network", target.engine):
            yield
    except EradioError as error:
        if memory_was_short(error):
            raise NoMemoryError(f"There is no memory for the reference network: {error}") from error
        raise


@contextmanager
def _blamed(target: Target, calibration: Tensor | None, tell: Watch) -> Iterator[None]:
    """Networks are to blame for what an engine does not do with them, but not if it does not do it with the canary.

    Raises:
        NoMemoryError: there is no memory for the canary.
        EradioError: the engine does not run it.
    """
    try:
        yield
    except BuildError as error:
        # Memory may take a while to be free again. And after some networks nothing runs in this process any more.
        if memory_was_short(error) or gpu_lost() is not None:
            raise
        tell("trying the reference network", 0.0)
        try:
            with (
                _reference_network(target),
                load_engine(target.engine).prepare(Canary(), job_of(target, calibration)) as canary,
            ):
                canary.run()
                _check_canary(canary, target, calibration)
        except NoMemoryError as own:
            raise NoMemoryError(f"{error} {own}") from own
        except MachineError:
            raise
        except EradioError as own:
            raise EradioError(
                f"{error} Nor does '{target.engine}' run the reference network here: {own} Mend the engine first."
            ) from own
        raise


def stopwatch(target: Target) -> Clock:
    """What a call is charged: with one thread the processor time of this process, else elapsed time.

    Other processes on the same cores stretch elapsed time by the turns they take, which no network is to blame
    for; where nothing else runs, the two are equal. With several threads processor time is no latency.
    """
    return time.process_time if target.threads == 1 and target.device == "cpu" else time.perf_counter


def _measurement(
    ready: Ready,
    reading: Reading,
    target: Target,
    reference: Reference,
    gpu: GpuClock | None,
    told: tuple[str, ...],
) -> Measurement:
    paper, times = ready.paper, _quantiles(reading.pairs.candidate)
    return Measurement(
        identity=identity(ready.subject.digest, target, ready.calibration),
        network=ready.subject.digest,
        target=target,
        environment=environment_digest(target),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        throughput=reading.ratio.scaled(reference.images_per_second),
        ratio=reading.ratio,
        against_first=reading.against_first,
        verdict="settled" if reading.settled else "unsettled",
        undisturbed=reading.undisturbed,
        latency_ms=times.median,
        calls=reading.calls,
        seconds=reading.seconds,
        preparation_seconds=ready.seconds,
        canary=reference,
        parameters=ready.parameters,
        gmacs=None if paper is None else paper.gmacs,
        activations=None if paper is None else paper.activations,
        windows=ready.subject.windows,
        agreement=ready.agreement,
        facts=ready.prepared.facts,
        times=times,
        canary_times=_quantiles(reading.pairs.canary),
        gpu=gpu,
        notes=told,
        load=_load(),
    )


def _check_canary(canary: Prepared, target: Target, calibration: Tensor | None) -> None:
    """The reference of every ratio is held to the same limits as any network.

    Not in 8-bit integers: how near those come depends on the pictures of the calibration, the canary's speed does not.

    Raises:
        EradioError: the engine computes something else.
    """
    if target.precision == "int8":
        return
    job = job_of(target, calibration)
    agreement(canary.outputs(), eager_outputs(Canary(), job), target.engine, target.precision)


def _short(reading: Reading, target: Target) -> tuple[str, ...]:
    """What the protocol asks for and the time did not allow."""
    told = []
    if not reading.warm:
        told.append("Its calls, or the canary's, had not become steady when the time for warming up was over.")
    pictures = reading.calls * target.batch
    if pictures < target.protocol.min_samples:
        told.append(f"There was time for {pictures:,} of the {target.protocol.min_samples:,} pictures asked for.")
    return tuple(told)


def _calibrate(canary: Prepared, target: Target) -> Reference:
    """The canary alone: its rate, with the interval that all images per second of this store share."""
    found = rate(
        canary.run,
        _patient(target.protocol),
        clock=time.perf_counter,
        stopwatch=stopwatch(target),
    )
    return Reference(canary=VERSION, images_per_second=target.batch * found.value, half_width=found.half_width())


def _patient(protocol: Protocol) -> Protocol:
    """Longer than a network of a study, but no longer than STANDARD: the rate is a unit, and drift spoils it anyway."""
    return protocol.model_copy(
        update={
            "min_seconds": min(_CALIBRATION_PATIENCE * protocol.min_seconds, STANDARD.min_seconds),
            "max_seconds": min(_CALIBRATION_PATIENCE * protocol.max_seconds, STANDARD.max_seconds),
        }
    )


def _quantiles(seconds: NDArray[np.float64]) -> CallTimes:
    fastest, quarter, middle, three_quarters, slowest = np.quantile(seconds * 1e3, [0, 0.25, 0.5, 0.75, 1])
    return CallTimes(fastest=fastest, quarter=quarter, median=middle, three_quarters=three_quarters, slowest=slowest)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
