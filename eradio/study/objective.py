"""One trial, start to end: measure the network, teach it, and write down both, or the reason why not."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eradio.description import digest_of
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.student import Student, new_student
from eradio.distill.trainer import DivergedError, Outcome, Trainer
from eradio.errors import EradioError, MachineError, memory_was_short, networks_own
from eradio.files import read_json, write_json
from eradio.manifest import environment
from eradio.profile import Measurement, identity, measure
from eradio.profile.canary import stored_reference
from eradio.profile.store import keep
from eradio.profile.store import known as known_elsewhere
from eradio.search_space import Network, build, describe
from eradio.study.records import CurvePoint, Role, Score, TrialRecord
from eradio.study.run import Run
from eradio.tensors import write_tensors

Watcher = Callable[[int, float], None]


def run_trial(
    run: Run, role: Role, number: int, name: str, network: Network, folder: Path, watch: Watcher | None = None
) -> TrialRecord:
    """Measure and teach one network.

    A network that cannot be built, diverges or runs out of memory gives a record with the reason.

    Raises:
        EradioError: the study itself cannot go on (no room on the disk, a lock not given back, no readable picture).
        OSError: the same, as the system says it.
    """
    began = time.monotonic()
    known: dict[str, Any] = {
        "role": role,
        "number": number,
        "name": name,
        "network_digest": network.digest(),
        "network": network.model_dump(mode="json"),
        "words": describe(network),
        "manifest": manifest(run, network),
    }
    write_json(folder / "architecture.json", known["network"])
    try:
        measurement = measured(run, network, folder)
    except (MachineError, OSError):
        raise
    except Exception as error:  # whatever a network does wrong is its own failure; the study goes on
        return TrialRecord(**known, state="failed", reason=reason(error), seconds=time.monotonic() - began)
    try:
        student, outcome = teach(run, network, folder, run.config.recipe.steps, watch)
    except Exception as error:  # as above, and what comes from the pictures or the disk is no network's failure
        if not networks_own(error):
            raise
        return TrialRecord(
            **known,
            measurement=measurement,
            state="failed",
            reason=reason(error),
            seconds=time.monotonic() - began,
        )
    write_tensors(folder / "student.safetensors", student.state_dict())
    known["manifest"]["unreadable"] = list(outcome.unreadable)
    return TrialRecord(
        **known,
        state="complete",
        measurement=measurement,
        score=score_of(outcome),
        curve=curve_of(outcome),
        seconds=time.monotonic() - began,
    )


def measured(run: Run, network: Network, folder: Path) -> Measurement:
    """The network's throughput, from its folder or another study if it was measured on this machine before."""
    path, target = folder / "measurement.json", run.config.target
    calibration = run.calibration() if target.precision == "int8" else None
    own = identity(network.digest(), target, calibration)
    if path.exists():
        known = Measurement.parse(read_json(path), str(path))
        if known.identity == own:
            return known
    measurement = known_elsewhere(own, stored_reference(target, run.folder))
    if measurement is None:
        measurement = measure(network, target, canary_folder=run.folder, lock=run.device, calibration=calibration)
        keep(measurement)
    write_json(path, measurement.model_dump(mode="json"))
    return measurement


def teach(
    run: Run, network: Network, folder: Path, steps: int, watch: Watcher | None = None
) -> tuple[Student, Outcome]:
    """Train a student of the network to `steps` from whatever checkpoint its folder holds.

    Its heads answer in the teachers' own scales.
    """
    student = untrained(run, network)
    trainer = Trainer(student, run.config.recipe, run.targets, run.pages(range(0)))
    outcome = trainer.run(steps, CheckpointFolder(folder), guard=run.device.training, watch=watch)
    student.heads.restore(run.scales)
    return student, outcome


def untrained(run: Run, network: Network) -> Student:
    """The student as it is before its first step."""
    identity = run.training_identity(network)
    return new_student(lambda own: build(network, own), run.shapes(), run.config.recipe, identity)


def reason(error: Exception) -> str:
    """Why a network could not be measured or taught, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if memory_was_short(error):
        return f"out of memory: {text[:200]}"
    if isinstance(error, DivergedError):
        return f"diverged: {text}"
    return text[:300] if isinstance(error, EradioError) else f"{type(error).__name__}: {text[:300]}"


def manifest(run: Run, network: Network) -> dict[str, Any]:
    """All it takes to do a network's training and measurement again."""
    return {
        "environment": environment(),
        "training": run.training_identity(network),
        "recipe": digest_of(run.config.recipe.identity()),
        "data": [one.digest for one in run.data],
        "teachers": {teacher.name: teacher.digest for teacher in run.asked.teachers},
        "target": run.config.target.digest(),
        "seed": run.config.recipe.seed,
    }


def score_of(outcome: Outcome) -> Score:
    """The validation of a rung as a record."""
    return Score(steps=outcome.steps, loss=outcome.loss, parts=outcome.parts)


def curve_of(outcome: Outcome) -> tuple[CurvePoint, ...]:
    """A training curve of at most a hundred points as a record."""
    every = -(-len(outcome.curve) // 100) or 1
    points = [*outcome.curve[every - 1 :: every]]
    return tuple(CurvePoint(step=step, loss=loss, learning_rate=rate) for step, loss, rate in points)
