"""How the teachers' answers are rounded before anybody sees them, live or cached."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eradio.distill.recipe import Recipe
from eradio.features import Features

_REACH = 6.0
"""Deviations that 8-bit integers reach: of a normal distribution two in a thousand million lie beyond."""
_STEP = _REACH / 127


def rounded(answer: Features, kind: str) -> Features:
    """An answer in the stored type. 8-bit integers are of features whose channels have variance one."""
    if kind == "int8":
        return answer.each(lambda part: (part / _STEP).round().clamp(-127, 127).to(torch.int8).contiguous())
    return answer.each(lambda part: part.to(getattr(torch, kind)).contiguous())


def single(part: Tensor) -> Tensor:
    """What was rounded, in the type of the loss."""
    return part.float() * _STEP if part.dtype == torch.int8 else part.float()


@dataclass(frozen=True)
class RoundingError:
    """Of one teacher's answers to one batch."""

    relative: float
    """Root of the mean squared error over the root of the mean square."""
    clipped: float
    """Share of the numbers beyond what the type reaches."""


def rounding_errors(recipe: Recipe, answers: Mapping[str, Features]) -> dict[str, RoundingError]:
    """What the recipe's stored type loses, by the name of the teacher's summary or map."""
    found = {}
    for name, answer in answers.items():
        kept = rounded(answer, recipe.stored)
        for part, before, after in zip(("summary", "spatial"), answer, kept, strict=True):
            if before is not None and after is not None:
                error = (single(after) - before).square().mean().sqrt() / before.square().mean().sqrt()
                beyond = (before.abs() > _REACH).float().mean() if recipe.stored == "int8" else torch.zeros(())
                found[f"{name}/{part}"] = RoundingError(float(error), float(beyond))
    return found


def told(recipe: Recipe, errors: Mapping[str, RoundingError]) -> str:
    """The sentence that says it."""
    each = [
        f"{name} {one.relative:.2%}" + (f" ({one.clipped:.3%} clipped)" if one.clipped else "")
        for name, one in errors.items()
    ]
    return f"Stored as {recipe.stored}, answers are off by {', '.join(each)} of their root mean square"
