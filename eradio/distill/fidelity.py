"""How well each head stands in for its teacher, resolution by resolution.

A student that was taught some teachers at low and others at high resolution may learn to be one of them below and
another above ("mode switching", RADIOv2.5, arXiv 2412.07679: zero-shot fell from 82.9 to 1.3 between 512 and 768
pixels). A score at one resolution cannot show it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from eradio.distill.data import Dataset, whole_pictures
from eradio.distill.losses import match_maps
from eradio.distill.student import Student
from eradio.distill.teachers import Teacher
from eradio.distill.teachers.spec import View
from eradio.distill.teachers.view import seen
from eradio.features import Features
from eradio.search_space import Backbone

_CHUNK = 16


@dataclass(frozen=True)
class Fidelity:
    """Of one head at one resolution."""

    head: str
    """`teacher/summary` or `teacher/spatial`."""
    side: int
    """Pixels of the student's pictures; each teacher looks at the same pictures at its own resolution."""
    value: float
    """The teacher's variance over the mean squared error: 1 is no better than the teacher's mean, more is better."""


@torch.no_grad()
def fidelities(
    student: Student,
    teachers: Sequence[Teacher],
    data: Dataset,
    sides: Sequence[int],
    count: int,
    views: Mapping[str, View] | None = None,
) -> Iterator[Fidelity]:
    """Fidelity of every head at every resolution; summaries are compared by direction, maps as they are.

    Args:
        student: whose heads answer in the teachers' own scales.
        teachers: beside whom it is held.
        data: pictures.
        sides: in pixels.
        count: how many pictures.
        views: how each teacher looks at them, by name; at its own side where it is not said.
    """
    student.eval()
    for side in sides:
        if isinstance(student.backbone, Backbone):
            student.backbone.set_input_size((side, side))
        sums: dict[str, _Sums] = {}
        for pictures in torch.split(whole_pictures(data, side, count), _CHUNK):
            answers = student(pictures)
            looked = {one.name: seen(one, pictures, (views or {}).get(one.name, "own")) for one in teachers}
            for teacher in teachers:
                for name, answer, target in _pairs(teacher.name, answers[teacher.name], looked[teacher.name]):
                    sums.setdefault(name, _Sums(target.shape[1])).add(answer, target)
        for name, one in sums.items():
            yield Fidelity(name, side, one.fidelity())


def _pairs(name: str, answer: Features, target: Features) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Vectors [n, C] of student and teacher."""
    if answer.summary is not None and target.summary is not None:
        yield f"{name}/summary", normalize(answer.summary, dim=1), normalize(target.summary, dim=1)
    maps = match_maps(answer.spatial, target.spatial)
    first, second = (one.movedim(1, -1).flatten(0, 2) for one in maps)
    yield f"{name}/spatial", first, second


class _Sums:
    """Of a teacher's vectors, their squares, and the squared errors, in double precision."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.vectors = torch.zeros(width, dtype=torch.float64)
        self.squares = self.errors = 0.0

    def add(self, answer: Tensor, target: Tensor) -> None:
        self.count += len(target)
        self.vectors += target.double().sum(0)
        self.squares += float(target.double().square().sum())
        self.errors += float((answer.double() - target.double()).square().sum())

    def fidelity(self) -> float:
        variance = self.squares - float(self.vectors.square().sum()) / self.count
        return variance / max(self.errors, 1e-12)
