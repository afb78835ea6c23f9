"""What `eradio profile` does, short of printing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from torch import Tensor

from eradio.files import cache_folder
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile.clocks import state
from eradio.profile.explanation import Explanation, explained
from eradio.profile.measuring import Watch, measure_all
from eradio.profile.memory import Footprint, LargestBatch
from eradio.profile.profile import Profile, Profiled
from eradio.profile.ranking import ranks
from eradio.profile.ready import Ready
from eradio.profile.record import Measurement, environment_of
from eradio.profile.roofline import Roof, measured_roof
from eradio.profile.subject import Subject
from eradio.profile.target import Target

Find = Callable[[int], Sequence[Subject]]
"""The networks in question, at a resolution in pixels."""

Alone = Callable[[str, Target], Footprint]
"""Runs a network of that name in a process of its own."""


def profile_command(
    find: Find,
    targets: Sequence[Target],
    *,
    command: str = "",
    choice: str = "",
    why: bool = True,
    alone: Alone | None = None,
    largest: Callable[[str, Target], LargestBatch] | None = None,
    calibration: Callable[[Target], Tensor | None] | None = None,
    calibrated_on: str | None = None,
    watch: Watch | None = None,
    canary_folder: Path | None = None,
) -> Profile:
    """Measure networks on one target after another; those on the same target take turns in one run.

    Args:
        find: the networks, with windows for a resolution.
        targets: of one engine, device and precision; they may differ in batch and resolution.
        command: what repeats this.
        choice: why this engine and device.
        why: whether to look into memory, latency, energy, shares and the roofline too.
        alone: watches memory; None leaves it out.
        largest: finds the largest batch that fits, on the first target; None leaves it out.
        calibration: gives the real pictures that a target of int8 needs.
        calibrated_on: what they are.
        watch: told how far the run is.
        canary_folder: where the canary's rates are stored; the user's cache folder if None.

    Raises:
        EradioError: a network is not found, or could not be measured.
    """
    lock = DeviceLock(default_lock_folder(), targets[0].device)
    tell = watch or (lambda what, share: None)
    looks = _Reasons(tell, lock, alone)
    rows: list[Profiled] = []
    for target in targets:
        subjects = find(target.resolution)
        looks.found.clear()
        measured = measure_all(
            subjects,
            target,
            canary_folder=canary_folder or cache_folder(),
            lock=lock,
            calibration=calibration(target) if calibration else None,
            watch=watch,
            then=looks if why else None,
        )
        places = ranks([one.ratio for one in measured])
        reasons = looks.found if why else [None] * len(measured)
        rows += [
            Profiled(name=subject.name, source=subject.source, measurement=one, rank=rank, explanation=reason)
            for subject, one, rank, reason in zip(subjects, measured, places, reasons, strict=True)
        ]
    first = targets[0]
    found: dict[str, LargestBatch] = {}
    if largest is not None:
        for name in dict.fromkeys(row.name for row in rows):
            tell(f"trying batches of {name}", 0.0)
            with lock.measuring():
                found[name] = largest(name, first)
    return Profile(
        command=command,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        engine_choice=choice,
        environment=environment_of(first),
        cpu_mhz=state().cpu_mhz,
        calibration=calibrated_on if first.precision == "int8" else None,
        networks=tuple(rows),
        largest_batch=found,
    )


@dataclass
class _Reasons:
    """Looks into networks one after another; the machine's roof is measured once for all."""

    tell: Watch
    lock: DeviceLock
    alone: Alone | None
    roof: Roof | None = None
    found: list[Explanation | None] = field(default_factory=list)

    def __call__(self, ready: Ready, measurement: Measurement) -> None:
        target = measurement.target
        if self.roof is None:
            self.tell("measuring the roof", 0.0)
            with self.lock.measuring():
                self.roof = measured_roof(target.precision, target.device, target.threads)
        watch = partial(self.tell, f"looking into {ready.subject.name}")
        watch(0.0)
        with self.lock.measuring():
            memory = self.alone(ready.subject.name, target) if self.alone else None
        self.found.append(explained(ready, target, measurement.throughput.value, self.roof, self.lock, watch, memory))
