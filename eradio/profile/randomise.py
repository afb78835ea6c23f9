"""A fresh network is cheaper than a trained one where a compiler can see that a layer does nothing."""

import torch
from torch import nn


def randomise_constants(module: nn.Module, seed: int = 0) -> None:
    """Disturb, in place, every parameter and statistic whose elements are all equal.

    A LayerScale or last BN gain of zero lets a compiler drop the whole branch; a norm's gain of one, bias of zero or
    fresh statistics, or a bias of zero, let it drop the operation. No trained network has them. Each such tensor gets
    normal noise of standard deviation 0.1, a pure function of (seed, its place); variances get its absolute value.
    """
    buffers = dict(module.named_buffers())
    means = [value for name, value in buffers.items() if name.endswith("running_mean")]
    variances = [value for name, value in buffers.items() if name.endswith("running_var")]
    with torch.no_grad():
        others = [*module.parameters(), *means]
        for place, tensor in enumerate([*others, *variances]):
            if tensor.numel() == 0:
                continue
            constant = bool((tensor == tensor.flatten()[0]).all())
            if constant and (tensor.numel() > 1 or tensor.item() == 0):
                random = torch.Generator().manual_seed(seed * 1_000_003 + place)
                noise = 0.1 * torch.randn(tensor.shape, generator=random)
                tensor.add_(noise.abs() if place >= len(others) else noise)
