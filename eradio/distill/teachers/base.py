"""What every teacher is: frozen, in evaluation mode, pictures in, features out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from eradio.errors import EradioError
from eradio.features import Features

UNKNOWN_LICENCE = "not known here; see who published the weights"


class Teacher(nn.Module, ABC):
    """A frozen network that answers with summary and spatial features.

    Attributes:
        name: what tables call it.
        digest: identity of its weights and configuration.
        resolution: its own side in pixels, to which pictures are brought before it looks.
        patch: pixels between the places of its map.
        flexible: whether it can look at any side of whole patches; at none but its own otherwise.
        licence: under which its weights are published, or that this is not known.
        summary_width: channels of the summary, or None where there is none.
        spatial_width: channels of the map.
        at_once: pictures of one forward pass at most; None for all that it is given. More passes take less memory.
    """

    at_once: int | None = None

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        digest: str,
        resolution: int,
        patch: int,
        widths: tuple[int | None, int],
        mean: Sequence[float],
        std: Sequence[float],
        flexible: bool = False,
        licence: str = UNKNOWN_LICENCE,
    ) -> None:
        super().__init__()
        self.name = name
        self.digest = digest
        self.resolution = resolution
        self.patch = patch
        self.flexible = flexible
        self.licence = licence
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
    def forward(self, pictures: Tensor, side: int | None = None) -> Features:
        """Features of [B, 3, H, W] pictures in [0, 1], which are resampled to a side first.

        Args:
            pictures: of any size.
            side: in pixels at which it looks, its own if None.

        Raises:
            EradioError: it cannot look at this side.
        """
        side = side or self.resolution
        if side != self.resolution and (not self.flexible or side % self.patch):
            sides = f"multiples of {self.patch}" if self.flexible else "its own"
            raise EradioError(
                f"Teacher '{self.name}' cannot look at {side} pixels; its own side is {self.resolution}, and it takes "
                f"{sides}. Change its 'view', or the resolution of its partition."
            )
        pieces: Sequence[Tensor] = torch.split(pictures, self.at_once or len(pictures))
        return joined([self._features((resampled(piece, side) - self.mean) / self.std) for piece in pieces])

    def send(self, device: str) -> None:
        """Bring what pictures pass through to a device; the rest stays where it is."""
        self._tower().to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)

    def _tower(self) -> nn.Module:
        """What pictures pass through; all of it, unless a teacher says otherwise."""
        return self

    def compile_features(self) -> None:
        """Let inductor compile what it computes, from its next answer on: one program for each side and batch."""
        if "_features" not in vars(self):
            self._features = torch.compile(self._features, dynamic=False)  # type: ignore[method-assign]

    @abstractmethod
    def _features(self, pictures: Tensor) -> Features:
        """Features of normalised square pictures of a side that the teacher can look at."""


def joined(pieces: Sequence[Features]) -> Features:
    """One answer of those to the pieces of a batch."""
    if len(pieces) == 1:
        return pieces[0]
    summaries = [piece.summary for piece in pieces if piece.summary is not None]
    return Features(torch.cat(summaries) if summaries else None, torch.cat([piece.spatial for piece in pieces]))


def resampled(pictures: Tensor, side: int) -> Tensor:
    """Pictures [B, 3, H, W] as [B, 3, side, side], bilinearly with antialiasing."""
    if pictures.shape[-2:] == (side, side):
        return pictures
    return interpolate(pictures, (side, side), mode="bilinear", antialias=True)
