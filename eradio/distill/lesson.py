"""A student before its teachers: pictures and targets in, losses out."""

from collections.abc import Collection, Mapping
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import set_checkpoint_early_stop

from eradio.distill.grouped_norm import group_norms
from eradio.distill.losses import Shift, alignment_loss, distillation_losses
from eradio.distill.recipe import ALIGNMENT, Recipe
from eradio.distill.scales import Scales
from eradio.distill.squares import Shifts
from eradio.distill.student import Student
from eradio.distill.teachers.base import resampled
from eradio.distill.teachers.view import STRIDE
from eradio.features import Features
from eradio.search_space import Backbone


class Lesson(nn.Module):
    """What one forward pass computes; all of a student's weights are reached through it.

    Where pictures of several sizes are shown, a network of ours takes for each the windows that fit it best.
    """

    def __init__(self, student: Student, recipe: Recipe, scales: Scales) -> None:
        super().__init__()
        self.student = student
        self._recipe = recipe
        self._group: int | None = None
        self._sides = recipe.several_sides()
        self._dispersions = {name: scale.dispersion for name, scale in scales.items()}

    def forward(
        self,
        pictures: Tensor,
        targets: Mapping[str, Features],
        partition: int,
        shifts: Shifts,
        other: int | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The number to be minimised, and the losses it is made of by name.

        Args:
            pictures: [B, 3, R, R] in [0, 1].
            targets: by teacher, in single precision.
            partition: of the recipe, to which both belong.
            shifts: by teacher, of its pictures from these, in patches.
            other: side in pixels at which the student's map must agree with that of these pictures; None for none.
        """
        group = self._recipe.partitions[partition].group
        if group != self._group:
            group_norms(self.student.backbone, group)
            self._group = group
        recipe, side = self._recipe, pictures.shape[3]
        # First, since activations that are computed anew must find the windows that they were computed with.
        aim = None if other is None else self._aim(pictures, other)
        answers, own = self._answers(pictures, targets.keys())
        single = {name: answer.float() for name, answer in answers.items()}
        parts = {name: Shift(*one, Fraction(STRIDE, side)) for name, one in shifts.items()}
        losses = distillation_losses(single, targets, recipe.summary, recipe.spatial, self._dispersions, parts)
        named = {self._name(name, partition): loss for name, loss in losses.items()}
        if aim is not None:
            named[ALIGNMENT] = alignment_loss(own.float(), aim)
        return self.student.sum(named), named

    def _answers(self, pictures: Tensor, teachers: Collection[str]) -> tuple[dict[str, Features], Tensor]:
        """The student's answers in the place of some teachers, and its own map."""
        if self._sides and isinstance(self.student.backbone, Backbone):
            self.student.backbone.set_input_size((pictures.shape[2], pictures.shape[3]))
        half = self._recipe.precision == "bfloat16"
        # Activations computed anew are computed to the end, or the last norm would count some groups twice.
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=half), set_checkpoint_early_stop(False):
            features = self.student.backbone(pictures)
            return self.student.heads(features, teachers), features.spatial

    @torch.no_grad()
    def _aim(self, pictures: Tensor, side: int) -> Tensor:
        """The student's own map at another side, as it would answer when it is used."""
        backbone = self.student.backbone.eval()
        try:
            return self._answers(resampled(pictures, side), ())[1].float()
        finally:
            backbone.train()

    def _name(self, loss: str, partition: int) -> str:
        teacher, _, part = loss.rpartition("/")
        return f"{self._recipe.head_name(teacher, partition)}/{part}"
