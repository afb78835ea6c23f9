"""What every network does with a batch of pictures first."""

import torch
from torch import Tensor, nn

from eradio.errors import NetworkError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Statistics of CLIP's training pictures, RGB in [0, 1] (arXiv 2103.00020, its released preprocessing)."""


class Normalise(nn.Module):
    """Subtract a mean and divide by a deviation, one of each a channel."""

    gain: Tensor
    shift: Tensor

    def __init__(
        self,
        mean: tuple[float, float, float] = CLIP_MEAN,
        deviation: tuple[float, float, float] = CLIP_DEVIATION,
    ) -> None:
        super().__init__()
        gain = 1 / torch.tensor(deviation).view(1, 3, 1, 1)
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("shift", -torch.tensor(mean).view(1, 3, 1, 1) * gain, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] to [B, 3, H, W]."""
        return torch.addcmul(self.shift, pictures, self.gain)


def check_pictures(pictures: Tensor, channels: int = 3) -> None:
    """Refuse what is no batch of pictures.

    Raises:
        NetworkError: the tensor is not [B, channels, H, W].
    """
    if pictures.ndim != 4 or pictures.shape[1] != channels:
        shape = list(pictures.shape)
        raise NetworkError(f"A network was given a tensor of shape {shape}; give pictures as [B, {channels}, H, W].")
