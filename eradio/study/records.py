"""What a study leaves behind: one record a network, read by the analysis and by nobody's pickle."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from eradio.description import Description
from eradio.front import front
from eradio.interval import Interval
from eradio.profile.record import Measurement
from eradio.study.ends import End
from eradio.study.halving import Decision

Role = Literal["candidate", "baseline"]
State = Literal["complete", "halted", "failed"]
"""Halted: judged at a rung and not taught to the last one."""


SEED_NOISE = 0.03
"""Median relative difference between rung losses of one network from two sets of first weights (benchmarks/LOG.md):
smaller differences between networks say nothing."""


class CurvePoint(Description):
    """One line of a training curve."""

    step: int
    loss: float
    learning_rate: float


class Score(Description):
    """Validation of a student at the end of a rung."""

    steps: int
    loss: float
    parts: dict[str, float]
    """Loss of each teacher's head, as `clip/summary` or `sam/spatial`."""


class Comparison(Description):
    """One downstream metric of a finalist beside its teacher and its untrained self."""

    metric: str
    student: Interval
    teacher: Interval
    untrained: Interval

    @property
    def share(self) -> float | None:
        """The student's score over its teacher's; None where the teacher has none."""
        return self.student.value / self.teacher.value if self.teacher.value else None

    @property
    def below_half(self) -> bool:
        """Whether the student falls short of half of its teacher's score."""
        return self.share is not None and self.share < 0.5


class TrialRecord(Description):
    """One network of a study: what it is, what it costs, how well it learned."""

    role: Role
    number: int
    name: str
    network_digest: str
    network: dict[str, Any]
    words: str
    state: State
    reason: str | None = None
    end: End = "complete"
    duplicate_of: int | None = None
    measurement: Measurement | None = None
    """On the study's own target."""
    also: tuple[Measurement, ...] = ()
    """On its other targets."""
    peak_bytes: int | None = None
    """Memory of a process that runs it on the study's own target; None where no constraint asks for it."""
    score: Score | None = None
    """At the last rung it reached."""
    rungs: tuple[Score, ...] = ()
    """At every rung it reached."""
    decisions: tuple[Decision, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    seconds: float | None = None
    """Of a device: measuring and teaching, in all attempts that ended in this one."""
    attempt: int = 1
    inherited: str | None = None
    """From which student its first weights come, if not from chance."""
    manifest: dict[str, Any] = Field(default_factory=dict)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """On all targets, the study's own first."""
        return () if self.measurement is None else (self.measurement, *self.also)


class FinalistRecord(Description):
    """A network trained for longer, and what its heads can do on test pictures."""

    role: Role
    number: int
    name: str
    network_digest: str
    measurement: Measurement
    also: tuple[Measurement, ...] = ()
    score: Score
    curve: tuple[CurvePoint, ...] = ()
    seconds: float | None = None
    comparisons: tuple[Comparison, ...] = ()
    reason: str | None = None
    """Why the longer training did not end, if so; the score is then the rung's."""
    manifest: dict[str, Any] = Field(default_factory=dict)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """On all targets, the study's own first."""
        return (self.measurement, *self.also)


def front_of(trials: Sequence[TrialRecord], role: Role, target: int = 0) -> list[TrialRecord]:
    """Networks of a role that were taught to the end and that no other dominates on a target, the fastest first."""
    some = [
        (one, (-one.measurements[target].throughput.value, one.score.loss))
        for one in trials
        if one.role == role and one.state == "complete" and one.duplicate_of is None and one.score
        if len(one.measurements) > target
    ]
    return [some[index][0] for index in front([point for _, point in some])]


def on_a_front(trials: Sequence[TrialRecord], role: Role) -> list[TrialRecord]:
    """Networks of a role that are on the front of some target, the fastest on the study's own target first."""
    targets = max((len(one.measurements) for one in trials), default=0)
    found = {one.number: one for target in range(targets) for one in front_of(trials, role, target)}
    return sorted(found.values(), key=lambda one: -one.measurements[0].throughput.value)


class StudyRecords(Description):
    """A whole study, as plain data."""

    name: str
    config: dict[str, Any]
    environment: dict[str, Any]
    digests: dict[str, str]
    seconds: float | None = None
    trials: tuple[TrialRecord, ...] = ()
    finalists: tuple[FinalistRecord, ...] = ()

    def front(self, role: Role = "candidate") -> list[TrialRecord]:
        """Networks of a role that were taught to the end and that no other dominates on the study's target."""
        return front_of(self.trials, role)

    def on(self, target: int) -> "StudyRecords":
        """The same study seen from one of its targets, by its place among them; 0 for the study's own."""

        def seen(record: TrialRecord) -> TrialRecord:
            if target == 0 and not record.also:
                return record
            own = record.measurements[target] if len(record.measurements) > target else None
            return record.model_copy(update={"measurement": own, "also": ()})

        def longer(record: FinalistRecord) -> FinalistRecord:
            return record.model_copy(update={"measurement": record.measurements[target], "also": ()})

        update = {"trials": tuple(map(seen, self.trials)), "finalists": tuple(map(longer, self.finalists))}
        return self.model_copy(update=update)
