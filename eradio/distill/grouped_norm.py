"""Batch norm whose statistics are of a fixed number of pictures, however a batch is cut into pieces.

A batch norm sees what one forward pass sees, so that a smaller micro-batch or another number of processes would be
another training. Here its statistics are those of groups of pictures ("ghost batches", Hoffer et al. 2017, arXiv
1705.08741): every forward pass is of whole groups, each is normalised by itself, and the running statistics move once a
step, by the mean of all groups on all processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eradio.distill.processes import together


class _Grouped(_BatchNorm):
    """Mixed into a batch norm's own class, so that it keeps its type, its weights and what else it computes."""

    group: int | None
    pending: tuple[Tensor, Tensor] | None
    groups: int

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, ...] to the same shape; B is a multiple of the group in training."""
        if not self.training or not self.track_running_stats:
            return super().forward(features)
        group = self.group or len(features)
        if len(features) % group:
            raise ValueError(f"{len(features)} pictures are not whole groups of {group}")
        parts = [self._one(part) for part in torch.split(features, group)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _one(self, part: Tensor) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        kept, momentum = (self.running_mean, self.running_var), self.momentum
        # With momentum 1 the running statistics become those of the group; the norm's own code does all the rest.
        self.running_mean, self.running_var = (torch.zeros_like(one) for one in kept)
        self.momentum = 1.0
        try:
            with _no_count(self):
                answer: Tensor = super().forward(part)
            mean, variance = self.pending or (0, 0)
            self.pending = mean + self.running_mean, variance + self.running_var
            self.groups += 1
        finally:
            (self.running_mean, self.running_var), self.momentum = kept, momentum
        return answer


@contextmanager
def _no_count(norm: _BatchNorm) -> Iterator[None]:
    """Its count of batches is moved once a step."""
    count, norm.num_batches_tracked = norm.num_batches_tracked, None
    try:
        yield
    finally:
        norm.num_batches_tracked = count


def group_norms(module: nn.Module, group: int | None = None) -> nn.Module:
    """Let every batch norm of a module take its statistics over groups of pictures; None for all of a forward pass."""
    for norm in _norms(module):
        if not isinstance(norm, _Grouped):
            norm.__class__ = type(f"Grouped{type(norm).__name__}", (_Grouped, type(norm)), {})
            _forget(norm)
        norm.group = group  # type: ignore[assignment]
    return module


def has_norms(module: nn.Module) -> bool:
    """Whether any layer takes its statistics over pictures."""
    return bool(_norms(module))


@torch.no_grad()
def settle_norms(module: nn.Module) -> None:
    """Move the running statistics by what the groups of this step were like on average, over all processes."""
    norms = [norm for norm in _norms(module) if isinstance(norm, _Grouped)]
    if not norms:
        return
    sums = torch.cat([_counted(norm) for norm in norms])
    if together():
        torch.distributed.all_reduce(sums)
    start = 0
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        width = norm.num_features
        mean, variance, groups = torch.split(sums[start : start + 2 * width + 1], [width, width, 1])
        start += 2 * width + 1
        if not groups:
            continue
        weight = 0.1 if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean / groups, weight)
        norm.running_var.lerp_(variance / groups, weight)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        _forget(norm)


def _counted(norm: _Grouped) -> Tensor:
    """Sums of the groups' means and variances, and how many groups: [2 C + 1]."""
    assert norm.running_mean is not None
    nothing = torch.zeros_like(norm.running_mean)
    mean, variance = norm.pending or (nothing, nothing)
    return torch.cat([mean, variance, mean.new_tensor([norm.groups])])


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [one for one in module.modules() if isinstance(one, _BatchNorm)]


def _forget(norm: _BatchNorm) -> None:
    norm.pending, norm.groups = None, 0  # type: ignore[assignment]
