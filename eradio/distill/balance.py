"""Bringing every teacher's features to one scale, and the way back (PHI-S, arXiv 2410.01680).

Teachers' scales differ by two orders of magnitude, so that squared errors weigh them by accident. Every balance here is
an affine map y' = A (y - mu), whose inverse folds into a head's last linear layer once the student is trained.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eradio.distill.hadamard import hadamard
from eradio.distill.recipe import BalanceKind
from eradio.errors import EradioError

_DEAD = 1e-6
"""A channel that varies by less than this part of the mean deviation says nothing and keeps that of the others."""


@dataclass
class Moments:
    """Mean and covariance of vectors that come in portions, in double precision (Chan, Golub and LeVeque 1979)."""

    width: int
    count: int = 0
    mean: NDArray[np.float64] = field(init=False)
    squares: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.squares = np.zeros(self.width), np.zeros((self.width, self.width))

    def add(self, vectors: Tensor) -> None:
        """Take in vectors [n, C]."""
        new = vectors.double().cpu().numpy()
        mean = new.mean(axis=0)
        away, apart = new - mean, mean - self.mean
        total = self.count + len(new)
        self.squares += away.T @ away + np.outer(apart, apart) * (self.count * len(new) / total)
        self.mean = self.mean + apart * (len(new) / total)
        self.count = total

    def covariance(self) -> NDArray[np.float64]:
        """[C, C], of the vectors themselves (divided by their number)."""
        return self.squares / self.count


@dataclass(frozen=True)
class Balanced:
    """The affine map y' = A (y - mu) of one teacher's summaries or maps, and its inverse."""

    mean: Tensor
    """mu, [C] float64."""
    there: Tensor
    """A, [C, C] float64."""
    back: Tensor
    """Its inverse."""
    _near: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, kind: BalanceKind, moments: Moments) -> Self:
        """The map that a kind of balance makes of a teacher's statistics.

        `global` takes one mean and one deviation for all channels; `channel` one for each; `phi-s` turns to the
        principal axes, divides by phi, the root of their mean variance, and turns by a Hadamard matrix, after which
        every channel has variance 1: A = 1/phi H U^T (arXiv 2410.01680, section 3).

        Raises:
            EradioError: there is no Hadamard matrix of this width, or the features never change.
        """
        covariance = moments.covariance()
        variances = np.diag(covariance)
        phi = float(np.sqrt(variances.mean()))
        if not phi > 0:
            raise EradioError(
                "A teacher's features are the same for every picture, so they cannot be balanced. "
                "Check its weights, or give more varied pictures."
            )
        mean, eye = moments.mean, np.eye(moments.width)
        if kind == "global":
            middle = mean.mean()
            deviation = np.sqrt((variances + (mean - middle) ** 2).mean())
            return cls._from(np.full_like(mean, middle), eye / deviation, eye * deviation)
        if kind == "channel":
            deviations = np.sqrt(variances)
            deviations = np.where(deviations > _DEAD * phi, deviations, phi)
            return cls._from(mean, np.diag(1 / deviations), np.diag(deviations))
        _, axes = np.linalg.eigh(covariance)
        turn = hadamard(moments.width) @ axes.T
        return cls._from(mean, turn / phi, turn.T * phi)

    @classmethod
    def _from(cls, *arrays: NDArray[np.float64]) -> Self:
        return cls(*(torch.from_numpy(np.ascontiguousarray(one)) for one in arrays))

    def balance(self, features: Tensor) -> Tensor:
        """A (y - mu) of vectors along the last axis, [..., C], in their own type."""
        place = features.device, features.dtype
        if place not in self._near:  # once, and not for every batch: a wide teacher's matrix has megabytes
            self._near[place] = self.mean.to(features), self.there.to(features).T
        mean, there = self._near[place]
        return (features - mean) @ there

    def restore(self, features: Tensor) -> Tensor:
        """What was balanced, as the teacher said it: [..., C]."""
        return features @ self.back.to(features).T + self.mean.to(features)

    @torch.no_grad()
    def unfold(self, layer: nn.Linear) -> None:
        """Let a layer that answers in the teacher's own scale answer balanced: W' = A W, b' = A (b - mu)."""
        bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
        weight, offset = self.there @ layer.weight.double(), self.there @ (bias.double() - self.mean)
        layer.weight.copy_(weight)
        layer.bias = nn.Parameter(offset.to(layer.weight.dtype))

    @torch.no_grad()
    def fold(self, layer: nn.Linear) -> None:
        """Let a head's last layer answer in the teacher's own scale: W = T W', b = T b' + mu, with T = A^-1."""
        bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
        weight, offset = self.back @ layer.weight.double(), self.back @ bias.double() + self.mean
        layer.weight.copy_(weight)
        layer.bias = nn.Parameter(offset.to(layer.weight.dtype))
