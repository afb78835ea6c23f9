"""The networks of a study that have both a throughput and a loss, and the fronts they make."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eradio.front import front
from eradio.interval import Interval
from eradio.profile.record import Measurement
from eradio.study.records import Role, StudyRecords, TrialRecord

_NAMES = {"vit": "ViT", "deit": "DeiT", "convnext": "ConvNeXt", "resnet": "ResNet", "mobilenet": "MobileNet"}
_NAMES |= {"efficientnet": "EfficientNet", "regnet": "RegNet", "fastvit": "FastViT", "swin": "Swin"}


@dataclass(frozen=True)
class Point:
    """One network on the chart: `throughput` in images/s with its interval, `loss` of the validation."""

    role: Role
    number: int
    name: str
    family: str
    words: str
    measurement: Measurement
    loss: float

    @property
    def throughput(self) -> Interval:
        """Images per second."""
        return self.measurement.throughput

    @property
    def label(self) -> str:
        """How the chart and the sentences call it."""
        return called(self.role, self.number, self.name)

    def ahead_of(self, other: "Point") -> bool:
        """Whether it is faster, with intervals that do not overlap, and its loss is no higher."""
        return self.throughput.low > other.throughput.high and self.loss <= other.loss


def points(run: StudyRecords, role: Role) -> list[Point]:
    """Every distinct network of one role that was both measured and trained."""
    return [
        Point(
            role=trial.role,
            number=trial.number,
            name=plain(trial.name, 40),
            family=family(trial),
            words=plain(trial.words, 400),
            measurement=trial.measurement,
            loss=trial.score.loss,
        )
        for trial in run.trials
        if trial.role == role and trial.state == "complete" and trial.duplicate_of is None
        if trial.measurement is not None and trial.score is not None
    ]


def front_of(some: Sequence[Point]) -> list[Point]:
    """The points that no other dominates by the middles of their intervals, the fastest first."""
    return [some[index] for index in front([(-point.throughput.value, point.loss) for point in some])]


def called(role: Role, number: int, name: str) -> str:
    """The short name of a network: a trial's number or a baseline's name."""
    return f"#{number}" if role == "candidate" else plain(name, 22)


def family(trial: TrialRecord) -> str:
    """What a network is made of: the kinds of its stages' blocks, or the family of its timm name."""
    stages = trial.network.get("stages")
    if isinstance(stages, list | tuple) and stages:
        attention = [_is_attention(stage) for stage in stages]
        return "attention" if all(attention) else "hybrid" if any(attention) else "convolutional"
    name = str(trial.network.get("name") or trial.name).lower()
    found = re.match(r"[a-z]+?(?=v?\d|_|-|\.|$)", name)
    stem = found.group() if found else plain(name, 16)
    return _NAMES.get(stem, stem)


def plain(text: str, limit: int) -> str:
    """One printable line of at most `limit` characters, for where a long name would break the page."""
    line = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _is_attention(stage: Any) -> bool:
    return isinstance(stage, dict) and stage.get("kind") == "attention"
