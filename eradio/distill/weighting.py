"""How the losses of several heads become one number to be minimised."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eradio.distill.recipe import Weighting

_SMALLEST = 1e-12


class LossSum(nn.Module, ABC):
    """A sum of named losses.

    Args:
        weights: by the name of the loss, as the recipe gives them to the teachers.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)
        self._places = {name: place for place, name in enumerate(weights)}

    @abstractmethod
    def forward(self, losses: Mapping[str, Tensor], summary: Tensor | None) -> Tensor:
        """One number.

        Args:
            losses: those of this step, which may be fewer than all.
            summary: of the student, [B, C].
        """

    def _places_of(self, losses: Mapping[str, Tensor]) -> list[int]:
        return [self._places[name] for name in losses]

    def _weighted(self, losses: Mapping[str, Tensor], each: Tensor) -> Tensor:
        return (each.new_tensor([self.weights[name] for name in losses]) * each).sum()


class FixedSum(LossSum):
    """Each loss times its teacher's weight; AM-RADIO (arXiv 2312.06709) kept all at 1."""

    def forward(self, losses: Mapping[str, Tensor], summary: Tensor | None) -> Tensor:
        """The weighted sum."""
        return self._weighted(losses, torch.stack(list(losses.values())))


class AdaLoss(LossSum):
    """Each loss divided by its own mean, 1 / E[loss], so that all count alike (Hu et al. 2019, arXiv 1708.06832).

    The mean runs with a momentum and is corrected for its start at nothing.
    """

    means: Tensor
    seen: Tensor

    def __init__(self, weights: Mapping[str, float], momentum: float) -> None:
        super().__init__(weights)
        self._momentum = momentum
        self.register_buffer("means", torch.zeros(len(weights), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(len(weights), dtype=torch.int64))

    def forward(self, losses: Mapping[str, Tensor], summary: Tensor | None) -> Tensor:
        """The sum of w * loss / E[loss], whose gradient does not pass through the mean."""
        stacked, places = torch.stack(list(losses.values())), self._places_of(losses)
        if self.training:
            self.means[places] = torch.lerp(stacked.detach().double(), self.means[places], self._momentum)
            self.seen[places] += 1
        corrected = self.means[places] / (1 - self._momentum ** self.seen[places].clamp_min(1).double()).clamp_min(
            _SMALLEST
        )
        return self._weighted(losses, stacked / corrected.to(stacked.dtype).clamp_min(_SMALLEST))


class UncertaintySum(LossSum):
    """e^-b * loss + softplus(b), where the student says by b how little it is to be believed (AM-RADIO, section 4).

    After Kendall et al. (arXiv 1705.07115); b is a linear function of the student's summary, averaged over the batch,
    and 0 at first.
    """

    def __init__(self, weights: Mapping[str, float], width: int) -> None:
        super().__init__(weights)
        self.doubt = nn.Linear(width, len(weights))
        nn.init.zeros_(self.doubt.weight)
        nn.init.zeros_(self.doubt.bias)

    def forward(self, losses: Mapping[str, Tensor], summary: Tensor | None) -> Tensor:
        """The sum of w * (e^-b loss + softplus(b))."""
        if summary is None:
            raise ValueError("a student needs a summary to say how uncertain it is")
        doubts = self.doubt(summary).mean(0)[self._places_of(losses)]
        return self._weighted(losses, torch.exp(-doubts) * torch.stack(list(losses.values())) + F.softplus(doubts))


def loss_sum(weighting: Weighting, weights: Mapping[str, float], summary_width: int) -> LossSum:
    """The sum that a recipe asks for.

    Args:
        weighting: of the recipe.
        weights: of the teachers' losses, by name.
        summary_width: channels of the student's summary.
    """
    if weighting.kind == "adaloss":
        return AdaLoss(weights, weighting.momentum)
    if weighting.kind == "uncertainty":
        return UncertaintySum(weights, summary_width)
    return FixedSum(weights)
