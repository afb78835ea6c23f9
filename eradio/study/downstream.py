"""What a student's heads can do on test scenes, beside the teachers themselves."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from eradio.distill.student import Student
from eradio.distill.teachers import ClipTeacher, DinoTeacher, SamTeacher, Teacher
from eradio.evaluation import box_masks, grouped, knn, segmentation, zero_shot
from eradio.evaluation.segmentation import GROUPS
from eradio.features import Features
from eradio.interval import Interval
from eradio.pretrain.held_out import Singles, singles
from eradio.scenes import KINDS
from eradio.study.records import Comparison

# Pictures of each kind: enough for an interval of a few per cent, few enough for seconds a student.
_GALLERY = 4
_QUERIES = 3
_CHUNK = 64

Answer = Callable[[Tensor], dict[str, Features]]


class Bench:
    """Labelled test scenes with single objects on backgrounds never seen in training, and the metrics on them.

    Every teacher brings the metric it is known for: CLIP zero-shot classification by captions, DINO k-NN and
    linear segmentation, SAM masks from boxes. A student answers each through the head for that teacher.
    """

    def __init__(self, teachers: tuple[Teacher, ...]) -> None:
        self._teachers = teachers

    @cached_property
    def _known(self) -> Singles:
        return singles("single-train", _GALLERY * len(KINDS))

    @cached_property
    def _asked(self) -> Singles:
        return singles("single", _QUERIES * len(KINDS))

    @cached_property
    def teachers(self) -> dict[str, Interval]:
        """The teachers' own scores, by metric."""
        return self.scores(lambda pictures: {teacher.name: teacher(pictures) for teacher in self._teachers})

    def compare(self, student: Student, untrained: Student) -> tuple[Comparison, ...]:
        """Every metric of a student beside its teacher's and its own before training."""
        after, before = self.scores(student.eval()), self.scores(untrained.eval())
        return tuple(
            Comparison(metric=metric, student=score, teacher=self.teachers[metric], untrained=before[metric])
            for metric, score in after.items()
        )

    @torch.no_grad()
    def scores(self, answer: Answer) -> dict[str, Interval]:
        """The metrics of whatever answers in the place of the teachers, by name."""
        known, asked = (_in_chunks(answer, part.pictures) for part in (self._known, self._asked))
        result: dict[str, Interval] = {}
        for teacher in self._teachers:
            seen, new = known[teacher.name], asked[teacher.name]
            if isinstance(teacher, ClipTeacher):
                classes = teacher.class_embeddings([kind.caption for kind in KINDS])
                result[f"{teacher.name} zero-shot top-1"] = zero_shot(_summary(new), classes, self._asked.labels)
            elif isinstance(teacher, DinoTeacher):
                labels = self._known.labels, self._asked.labels
                result[f"{teacher.name} k-NN top-1"] = knn(_summary(seen), labels[0], _summary(new), labels[1])
                truth = [grouped(part.semantic, len(KINDS)) for part in (self._known, self._asked)]
                score = segmentation(seen.spatial, truth[0], new.spatial, truth[1], GROUPS + 1)
                result[f"{teacher.name} segmentation mIoU"] = score
            elif isinstance(teacher, SamTeacher):
                owners = torch.arange(len(self._asked.labels))
                score = box_masks(new.spatial, self._asked.semantic > 0, owners, teacher.masks_of_boxes)
                result[f"{teacher.name} box-prompt mask IoU"] = score
        return result


def _in_chunks(answer: Answer, pictures: Tensor) -> dict[str, Features]:
    parts = [answer(part.contiguous(memory_format=torch.channels_last)) for part in torch.split(pictures, _CHUNK)]
    return {
        name: Features(
            None if first.summary is None else torch.cat([_summary(part[name]) for part in parts]),
            torch.cat([part[name].spatial for part in parts]),
        )
        for name, first in parts[0].items()
    }


def _summary(features: Features) -> Tensor:
    if features.summary is None:
        raise ValueError("a metric of summaries needs a teacher that has one")
    return features.summary
