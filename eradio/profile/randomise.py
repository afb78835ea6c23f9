"""A fresh network is cheaper than a trained one where a compiler can see that a layer does nothing."""

import torch
from torch import nn


def randomise_constants(module: nn.Module, seed: int = 0) -> None:
    """Disturb, in place, every parameter whose elements are all equal.

    A LayerScale or last BN gain of zero lets a compiler drop the whole branch; a norm's gain of one and bias
    of zero, or a bias of zero, lets it drop the operation. No trained network has them. Each such parameter
    gets normal noise of standard deviation 0.1, a pure function of (seed, its place).
    """
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            constant = bool((parameter == parameter.flatten()[0]).all())
            if constant and (parameter.numel() > 1 or parameter.item() == 0):
                random = torch.Generator().manual_seed(seed * 1_000_003 + place)
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
