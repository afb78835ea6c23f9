"""What a study leaves behind: one record a network, read by the analysis and by nobody's pickle."""

from typing import Any, Literal

from pydantic import Field

from eradio.description import Description
from eradio.interval import Interval
from eradio.profile.record import Measurement

Role = Literal["candidate", "baseline"]
State = Literal["complete", "failed"]


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
    duplicate_of: int | None = None
    measurement: Measurement | None = None
    score: Score | None = None
    curve: tuple[CurvePoint, ...] = ()
    seconds: float | None = None
    manifest: dict[str, Any] = Field(default_factory=dict)


class FinalistRecord(Description):
    """A network trained for longer, and what its heads can do on test pictures."""

    role: Role
    number: int
    name: str
    network_digest: str
    measurement: Measurement
    score: Score
    curve: tuple[CurvePoint, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    reason: str | None = None
    """Why the longer training did not end, if so; the score is then the rung's."""
    manifest: dict[str, Any] = Field(default_factory=dict)


class StudyRecords(Description):
    """A whole study, as plain data."""

    name: str
    config: dict[str, Any]
    environment: dict[str, Any]
    digests: dict[str, str]
    seconds: float | None = None
    trials: tuple[TrialRecord, ...] = ()
    finalists: tuple[FinalistRecord, ...] = ()
