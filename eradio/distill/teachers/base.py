"""What every teacher is: frozen, in evaluation mode, pictures in, features out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from eradio.features import Features


class Teacher(nn.Module, ABC):
    """A frozen network that answers with summary and spatial features.

    Attributes:
        name: what tables call it.
        digest: identity of its weights and configuration.
        resolution: the side in pixels to which pictures are brought before it looks.
        summary_width: channels of the summary, or None where there is none.
        spatial_width: channels of the map.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        digest: str,
        resolution: int,
        widths: tuple[int | None, int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.name = name
        self.digest = digest
        self.resolution = resolution
        self.summary_width, self.spatial_width = widths
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def freeze(self) -> Self:
        """Stop every gradient and settle in evaluation mode."""
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever a surrounding module is switched to."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Features:
        """Features of [B, 3, H, W] pictures in [0, 1]; another side than `resolution` is resampled first."""
        side = (self.resolution, self.resolution)
        if pictures.shape[-2:] != side:
            pictures = interpolate(pictures, side, mode="bilinear", antialias=True)
        return self._features((pictures - self.mean) / self.std)

    @abstractmethod
    def _features(self, pictures: Tensor) -> Features:
        """Features of normalised pictures of the teacher's own side."""
