"""What a recipe trains: a backbone with its adaptor heads, and the sum of its losses."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from timm.optim import Lamb
from torch import Tensor, nn

from eradio.distill.grouped_norm import group_norms
from eradio.distill.heads import Heads, TeacherShape
from eradio.distill.recipe import Optimiser, Recipe
from eradio.distill.vit import GAIN
from eradio.distill.weighting import loss_sum
from eradio.errors import EradioError
from eradio.features import Features


class Student(nn.Module):
    """A backbone with its adaptor heads: what a recipe trains."""

    def __init__(self, backbone: nn.Module, teachers: tuple[TeacherShape, ...], recipe: Recipe) -> None:
        super().__init__()
        self.backbone = group_norms(backbone)
        widths = (int(backbone.summary_width), int(backbone.spatial_width))  # type: ignore[arg-type]
        self.heads = Heads(widths, teachers)
        self.sum = loss_sum(recipe.weighting, recipe.loss_weights())

    def forward(self, pictures: Tensor, teachers: Collection[str] | None = None) -> dict[str, Features]:
        """Pictures [B, 3, R, R] in [0, 1] to an answer in the place of each teacher, or of those asked for, by name."""
        answers: dict[str, Features] = self.heads(self.backbone(pictures), teachers)
        return answers


def new_student(
    build: Callable[[int], nn.Module], teachers: tuple[TeacherShape, ...], recipe: Recipe, identity: str
) -> Student:
    """A student whose first weights are a function of the recipe's seed and its training identity alone.

    Args:
        build: makes the backbone from a seed.
        teachers: what the heads must know of the teachers.
        recipe: its seed, its groups of pictures and its weighting of losses count.
        identity: hexadecimal digest of the training.
    """
    own = (int(identity, 16) ^ recipe.seed) % 2**63
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own)
        return Student(build(own), teachers, recipe)


def forget_activations(backbone: nn.Module) -> None:
    """Compute stages anew in the backward pass instead of keeping what is inside them.

    Raises:
        EradioError: the network cannot.
    """
    inner = next((one for one in (backbone, *backbone.children()) if hasattr(one, "set_grad_checkpointing")), None)
    if inner is None:
        raise EradioError("This network cannot compute its activations anew; leave --checkpointing out.")
    inner.set_grad_checkpointing(True)  # type: ignore[operator]


def optimiser_for(student: Student, settings: Optimiser) -> torch.optim.Optimizer:
    """AdamW, or LAMB (You et al. 2019, arXiv 1904.00962) as timm has it; norms and biases are not decayed.

    Nor are weights that a spectral gain multiplies, whose size means nothing: their gain is.
    """
    decays = {name: _decays(name, weight) for name, weight in student.named_parameters()}
    decayed = [weight for name, weight in student.named_parameters() if decays[name]]
    others = [weight for name, weight in student.named_parameters() if not decays[name]]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.kind == "lamb":
        lamb: torch.optim.Optimizer = Lamb(groups, lr=settings.learning_rate, betas=settings.betas)
        return lamb
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def _decays(name: str, weight: Tensor) -> bool:
    if ".parametrizations.weight." in name:
        return name.endswith(GAIN)
    return weight.ndim > 1
