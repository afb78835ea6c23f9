"""How the losses of several heads become one number to be minimised."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eradio.distill.recipe import Weighting

_SMALLEST = 1e-12


class LossSum(nn.Module, ABC):
    """A sum of named losses, linear in each, so that it may be taken over parts of a batch.

    Args:
        weights: by the name of the loss, as the recipe gives them to the teachers.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)
        self._places = {name: place for place, name in enumerate(weights)}

    @abstractmethod
    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One number of the losses of this step, which may be fewer than all."""

    def observe(self, losses: Mapping[str, float]) -> None:
        """Be told after a step what the losses were over all of its pictures."""

    def _places_of(self, losses: Mapping[str, object]) -> list[int]:
        return [self._places[name] for name in losses]

    def _weighted(self, losses: Mapping[str, Tensor], each: Tensor) -> Tensor:
        return (each.new_tensor([self.weights[name] for name in losses]) * each).sum()


class FixedSum(LossSum):
    """Each loss times its teacher's weight; AM-RADIO (arXiv 2312.06709) kept all at 1."""

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return self._weighted(losses, torch.stack(list(losses.values())))


class AdaLoss(LossSum):
    """Each loss divided by its own mean, 1 / E[loss], so that all count alike (Hu et al. 2019, arXiv 1708.06832).

    The mean is that of the steps before, with a momentum, and corrected for its start at nothing. A loss that was never
    seen counts for nothing yet, so a student's first step only looks.
    """

    means: Tensor
    seen: Tensor

    def __init__(self, weights: Mapping[str, float], momentum: float) -> None:
        super().__init__(weights)
        self._momentum = momentum
        self.register_buffer("means", torch.zeros(len(weights), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(len(weights), dtype=torch.int64))

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of w * loss / E[loss]."""
        stacked, places = torch.stack(list(losses.values())), self._places_of(losses)
        seen = self.seen[places]
        means = self.means[places] / (1 - self._momentum ** seen.clamp_min(1).double())
        factors = torch.where(seen > 0, 1 / means.clamp_min(_SMALLEST), 0)
        return self._weighted(losses, stacked * factors.to(stacked.dtype))

    def observe(self, losses: Mapping[str, float]) -> None:
        """Move the means."""
        places = self._places_of(losses)
        values = self.means.new_tensor(list(losses.values()))
        self.means[places] = torch.lerp(values, self.means[places], self._momentum)
        self.seen[places] += 1


class UncertaintySum(LossSum):
    """e^-b * loss + softplus(b), where b, a weight of the student, says how little a loss is to be believed.

    After Kendall et al. (arXiv 1705.07115) and AM-RADIO's ablation, which let the student predict b from each picture;
    here it is one number a loss, 0 at first, so that it does not depend on how a batch is cut.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        self.doubts = nn.Parameter(torch.zeros(len(weights)))

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of w * (e^-b loss + softplus(b))."""
        doubts = self.doubts[self._places_of(losses)]
        return self._weighted(losses, torch.exp(-doubts) * torch.stack(list(losses.values())) + F.softplus(doubts))


def loss_sum(weighting: Weighting, weights: Mapping[str, float]) -> LossSum:
    """The sum that a recipe asks for.

    Args:
        weighting: of the recipe.
        weights: of the teachers' losses, by name.
    """
    if weighting.kind == "adaloss":
        return AdaLoss(weights, weighting.momentum)
    if weighting.kind == "uncertainty":
        return UncertaintySum(weights)
    return FixedSum(weights)
