"""Adaptor heads: what turns a student's features into each teacher's."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from eradio.distill.scales import Scales
from eradio.features import Features


@dataclass(frozen=True)
class TeacherShape:
    """What a head must know of its teacher; no summary width where the teacher has no summary."""

    name: str
    summary_width: int | None
    spatial_width: int


class AdaptorHead(nn.Sequential):
    """Two-layer MLP with LayerNorm and GELU between (AM-RADIO, arXiv 2312.06709): [..., C_in] to [..., C_out]."""

    def __init__(self, wide_in: int, hidden: int, wide_out: int) -> None:
        super().__init__(nn.Linear(wide_in, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, wide_out))

    @property
    def last(self) -> nn.Linear:
        """The layer that answers."""
        layer = self[-1]
        assert isinstance(layer, nn.Linear)
        return layer


class TeacherHeads(nn.Module):
    """The summary head (if the teacher has a summary) and the spatial head for one teacher."""

    def __init__(self, student: tuple[int, int], teacher: TeacherShape, hidden: int) -> None:
        super().__init__()
        summary, spatial = student
        wide = teacher.summary_width
        self.summary = None if wide is None else AdaptorHead(summary, hidden, wide)
        self.spatial = AdaptorHead(spatial, hidden, teacher.spatial_width)

    def forward(self, features: Features) -> Features:
        """Student features [B, C], [B, C', h, w] to the teacher's widths at the student's map size."""
        summary: Tensor | None = None
        if self.summary is not None:
            if features.summary is None:
                raise ValueError("a student needs a summary to imitate a teacher that has one")
            summary = self.summary(features.summary)
        return Features(summary, self.spatial(features.spatial.movedim(1, -1)).movedim(-1, 1))


class Heads(nn.ModuleDict):
    """All adaptor heads; the hidden width is that of the widest teacher."""

    def __init__(self, student: tuple[int, int], teachers: Sequence[TeacherShape]) -> None:
        hidden = max(max(teacher.spatial_width, teacher.summary_width or 0) for teacher in teachers)
        super().__init__({teacher.name: TeacherHeads(student, teacher, hidden) for teacher in teachers})

    def restore(self, scales: Scales) -> None:
        """Fold the balance of each teacher's features into the last layers, so that they answer as the teacher does.

        To be called once, after training.
        """
        self._fold(scales, back=False)

    def balance(self, scales: Scales) -> None:
        """The way back, before heads of another run learn on."""
        self._fold(scales, back=True)

    def _fold(self, scales: Scales, *, back: bool) -> None:
        for name, heads in self.items():
            assert isinstance(heads, TeacherHeads)
            if name in scales:
                summary = heads.summary.last if heads.summary else None
                scales[name].fold(summary, heads.spatial.last, back=back)

    def forward(self, features: Features, teachers: Collection[str] | None = None) -> dict[str, Features]:
        """The student's answer in the place of each teacher, or of those asked for, by the teacher's name."""
        return {name: heads(features) for name, heads in self.items() if teachers is None or name in teachers}
