"""A student before its teachers: pictures and targets in, losses out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import set_checkpoint_early_stop

from eradio.distill.grouped_norm import group_norms
from eradio.distill.losses import distillation_losses
from eradio.distill.recipe import Recipe
from eradio.distill.scales import Scales
from eradio.distill.student import Student
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
        self, pictures: Tensor, targets: Mapping[str, Features], partition: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The number to be minimised, and the losses it is made of by name.

        Args:
            pictures: [B, 3, R, R] in [0, 1].
            targets: by teacher, in single precision.
            partition: of the recipe, to which both belong.
        """
        group = self._recipe.partitions[partition].group
        if group != self._group:
            group_norms(self.student.backbone, group)
            self._group = group
        if self._sides and isinstance(self.student.backbone, Backbone):
            self.student.backbone.set_input_size((pictures.shape[2], pictures.shape[3]))
        recipe, half = self._recipe, self._recipe.precision == "bfloat16"
        # Activations computed anew are computed to the end, or the last norm would count some groups twice.
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=half), set_checkpoint_early_stop(False):
            answers = self.student(pictures, targets.keys())
        single = {name: answer.float() for name, answer in answers.items()}
        losses = distillation_losses(single, targets, recipe.summary, recipe.spatial, self._dispersions)
        named = {self._name(name, partition): loss for name, loss in losses.items()}
        return self.student.sum(named), named

    def _name(self, loss: str, partition: int) -> str:
        teacher, _, part = loss.rpartition("/")
        return f"{self._recipe.head_name(teacher, partition)}/{part}"
