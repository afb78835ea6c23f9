"""The moving average of a student's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages all floating-point weights and statistics of a module (EMA; Polyak and Juditsky 1992).

    Its momentum grows from a tenth to what the recipe asks for, so that the first weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, momentum: float) -> None:
        self._module = module
        self._momentum = momentum
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in _floating(module).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move by what the module is now."""
        momentum = min(self._momentum, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for name, value in _floating(self._module).items():
            self.values[name].lerp_(value, 1 - momentum)

    def resume(self, values: Mapping[str, Tensor], steps: int) -> None:
        """Go on from averages of a checkpoint, after so many steps."""
        for name, value in self.values.items():
            value.copy_(values[name])
        self.steps = steps

    @torch.no_grad()
    def apply(self) -> None:
        """Give the module its averages."""
        for name, value in _floating(self._module).items():
            value.copy_(self.values[name])


def _floating(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
