"""A trial's work: measure the network, teach it rung by rung, alone or in a cohort, and write down what came of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from eradio.description import Description, digest_of
from eradio.distill.checkpoint import CheckpointFolder, UnreadableError
from eradio.distill.courses import Course, taught_together
from eradio.distill.student import Student, new_student
from eradio.distill.trainer import DivergedError, Outcome, Trainer
from eradio.errors import BuildError, EradioError, NetworkError, memory_was_short
from eradio.files import write_json
from eradio.manifest import environment
from eradio.profile import Measurement, Target, Watch, identity, measure
from eradio.profile.canary import stored_reference
from eradio.profile.store import keep
from eradio.profile.store import known as known_elsewhere
from eradio.search_space import Network, build, describe
from eradio.study.ends import End
from eradio.study.halving import Decision
from eradio.study.holding import Claim
from eradio.study.inherit import Inheritance, most_similar
from eradio.study.kept import kept, set_aside
from eradio.study.memory import peak_bytes, shared_memory
from eradio.study.records import CurvePoint, Score, TrialRecord
from eradio.study.run import Run
from eradio.tensors import write_tensors

Watcher = Callable[[int, float], None]

WEIGHTS = "student.safetensors"


class Reached(Description):
    """What a rung gave, kept beside the checkpoints: a rung that has one is not taught again."""

    score: Score
    curve: tuple[CurvePoint, ...] = ()
    unreadable: tuple[str, ...] = ()
    seconds: float = 0.0
    """Of the device, its share of a cohort's."""


@dataclass(eq=False)
class Pupil:
    """A network under way.

    Attributes:
        claim: its trial.
        work: folder of its checkpoints.
        measurements: on each target of the study.
        peak_bytes: memory of a process that runs it on the study's own, where a constraint asks for it.
        reached: by rung, ascending.
        decisions: at the rungs that it has reached.
        earlier: seconds of the device in earlier attempts.
        spent: those of this one.
    """

    claim: Claim
    work: Path
    measurements: tuple[Measurement, ...] = ()
    peak_bytes: int | None = None
    reached: list[Reached] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    earlier: float = 0.0
    spent: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the device, in all attempts."""
        return self.earlier + self.spent

    def weights(self) -> dict[str, Tensor]:
        """Of the student that was taught to the end."""
        return load_file(self.claim.folder / WEIGHTS)

    def next_rung(self, rungs: Sequence[int]) -> int:
        """The first of some rungs that it has not reached."""
        done = self.reached[-1].score.steps if self.reached else 0
        return next(rung for rung in rungs if rung > done)


def begin(run: Run, pupil: Pupil, watch: Watch | None = None) -> None:
    """Measure a network that was claimed, unless it is known, and read what earlier attempts have reached.

    Args:
        run: it belongs to.
        pupil: that was claimed.
        watch: told how far measuring is; what it raises ends that.

    Raises:
        Exception: whatever a network does wrong, or the machine; see `networks_own`.
    """
    claim = pupil.claim
    write_json(claim.folder / "architecture.json", claim.network.model_dump(mode="json"))
    _inherit(run, claim)
    start = time.monotonic()
    try:
        pupil.measurements = tuple(
            measured(run, claim.network, target, claim.folder / _file_of(number), watch)
            for number, target in enumerate(run.config.targets)
        )
        if run.config.constraints.memory_mb is not None:
            pupil.peak_bytes = peak_bytes(run, claim)
    finally:
        pupil.spent += time.monotonic() - start
    rungs = run.config.rungs if claim.kind == "candidate" else run.config.rungs[-1:]
    found = (kept(Reached, rung_file(claim.folder, rung)) for rung in rungs)
    pupil.reached += [one for one in found if one is not None]


def _file_of(target: int) -> str:
    return f"also-{target}.json" if target else "measurement.json"


def teach(
    run: Run,
    pupils: Sequence[Pupil],
    steps: int,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Pupil, int], None] = lambda pupil, step: None,
) -> Iterator[tuple[Pupil, Reached | Exception]]:
    """Teach pupils to one rung, in lock-step on one pass of the teachers.

    Args:
        run: they belong to.
        pupils: none of which has reached the rung.
        steps: of the rung; 0 for the loss before training.
        stop: asked after each step whether to keep what is done and end.
        watch: called after each step with the steps done; what it raises ends that pupil's training.

    Yields:
        Each pupil, as soon as it has ended, with what it reached or with why it did not.
    """
    start, before = time.monotonic(), {pupil: pupil.spent for pupil in pupils}

    def watched(pupil: Pupil, step: int, loss: float) -> None:
        charge(pupil)
        watch(pupil, step)

    def charge(pupil: Pupil) -> None:
        pupil.spent = before[pupil] + (time.monotonic() - start) / len(pupils)

    courses = {pupil: _course(run, pupil, steps, stop, partial(watched, pupil)) for pupil in pupils}
    ends = taught_together(courses, run.targets)
    while True:
        with shared_memory("The teachers"):  # a pupil's own shortage is among the ends
            found = next(ends, None)
        if found is None:
            return
        pupil, end = found
        charge(pupil)
        if isinstance(end, Reached):
            end = end.model_copy(update={"seconds": pupil.spent - before[pupil]})
            write_json(rung_file(pupil.claim.folder, steps), end.model_dump(mode="json"))
            pupil.reached.append(end)
        yield pupil, end


def record_of(run: Run, pupil: Pupil, end: End, reason: str | None = None) -> TrialRecord:
    """The record of a candidate or baseline that has ended."""
    claim, last = pupil.claim, pupil.reached[-1] if pupil.reached else None
    failed = last is None or end not in ("complete", "halted", "infeasible")
    state = "failed" if failed else "complete" if end == "complete" else "halted"
    inheritance = Inheritance.kept_in(claim.folder)
    return TrialRecord(
        role="baseline" if claim.kind == "baseline" else "candidate",
        number=claim.number,
        name=claim.name,
        network_digest=claim.network.digest(),
        network=claim.network.model_dump(mode="json"),
        words=describe(claim.network),
        state=state,
        reason=reason,
        end=end,
        measurement=pupil.measurements[0] if pupil.measurements else None,
        also=pupil.measurements[1:],
        peak_bytes=pupil.peak_bytes,
        score=None if failed or last is None else last.score,
        rungs=tuple(one.score for one in pupil.reached),
        decisions=tuple(pupil.decisions),
        curve=() if last is None else last.curve,
        seconds=pupil.seconds,
        attempt=claim.attempt,
        inherited=inheritance.source if inheritance else None,
        manifest=manifest(run, claim.network) | {"unreadable": [] if last is None else list(last.unreadable)},
    )


def measured(run: Run, network: Network, target: Target, path: Path, watch: Watch | None = None) -> Measurement:
    """The network's throughput, from its file or another study if it was measured on this machine before."""
    calibration = run.calibration(target) if target.precision == "int8" else None
    own = identity(network.digest(), target, calibration)
    before = kept(Measurement, path)
    if before is not None and before.identity == own:
        return before
    measurement = known_elsewhere(own, stored_reference(target, run.folder))
    if measurement is None:
        run.rest()
        measurement = measure(
            network, target, canary_folder=run.folder, lock=run.device, calibration=calibration, watch=watch
        )
        keep(measurement)
    write_json(path, measurement.model_dump(mode="json"))
    return measurement


def untrained(run: Run, network: Network) -> Student:
    """The student as it is before its first step, with weights of chance."""
    identity = run.training_identity(network)
    return new_student(lambda own: build(network, own), run.shapes(), run.config.recipe, identity)


def code_of(error: Exception, building: bool) -> End:
    """How a network's own failure is called.

    Args:
        error: of the network.
        building: whether it was met before training.
    """
    if memory_was_short(error):
        return "out-of-memory"
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, NetworkError) and not isinstance(error, BuildError):
        return "infeasible"
    return "build-failed" if building else "failed"


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
        "taught on": run.setting.device,
        "recipe": digest_of(run.config.recipe.identity()),
        "data": [one.digest for one in run.data],
        "teachers": {teacher.name: teacher.digest for teacher in run.asked.teachers},
        "target": run.config.target.digest(),
        "seed": run.config.recipe.seed,
    }


def rung_file(folder: Path, steps: int) -> Path:
    """Where stands what a rung gave."""
    return folder / f"rung-{steps}.json"


def score_of(outcome: Outcome) -> Score:
    """The validation of a rung as a record."""
    return Score(steps=outcome.steps, loss=outcome.loss, parts=outcome.parts)


def curve_of(outcome: Outcome) -> tuple[CurvePoint, ...]:
    """A training curve of at most a hundred points as a record."""
    every = -(-len(outcome.curve) // 100) or 1
    points = [*outcome.curve[every - 1 :: every]]
    return tuple(CurvePoint(step=step, loss=loss, learning_rate=rate) for step, loss, rate in points)


def _inherit(run: Run, claim: Claim) -> None:
    """Where the study asks for it, settle whose weights a candidate begins with, before it has begun."""
    begun = any(claim.folder.glob("*.pt")) or Inheritance.kept_in(claim.folder) is not None
    if not run.config.inherit or claim.kind != "candidate" or begun:
        return
    others = sorted(path for path in claim.folder.parent.glob(f"*/{WEIGHTS}") if path.parent != claim.folder)
    found = most_similar(untrained(run, claim.network), others)
    if found is not None:
        found.keep(claim.folder)


def _course(run: Run, pupil: Pupil, steps: int, stop: Callable[[], bool], watch: Watcher) -> Course[Reached]:
    """One pupil's way to a rung; the weights of the last one are kept, its heads in the teachers' own scales."""
    recipe, claim = run.config.recipe, pupil.claim
    student = untrained(run, claim.network)
    inheritance = Inheritance.kept_in(pupil.work)
    if inheritance is not None:
        inheritance.hand_down(student)
    trainer = Trainer(student, recipe, run.targets, run.pages(range(0)), run.setting)
    folder, outcome = CheckpointFolder(pupil.work), None
    while outcome is None:
        try:
            outcome = yield from trainer.course(steps, folder, guard=run.device.training, watch=watch, stop=stop)
        except UnreadableError as error:  # which nobody could go on from: what it was is taught again
            set_aside(error.path)
    student.cpu().heads.restore(run.scales)
    if steps >= run.config.rungs[-1]:
        write_tensors(claim.folder / WEIGHTS, student.state_dict())
    return Reached(score=score_of(outcome), curve=curve_of(outcome), unreadable=tuple(outcome.unreadable))
