"""Letting a vision transformer look at other sides than the one it was made for."""

from typing import Any

from open_clip.transformer import VisionTransformer
from timm.layers import Format, PatchEmbed, resample_abs_pos_embed
from torch import Tensor, nn
from torch.func import functional_call

from eradio.features import Features


def free_grid(network: Any) -> bool:
    """Let timm resample a network's position embedding for each input, as its option `dynamic_img_size` does.

    The option is set after the network is made, since open_clip makes some for itself. Where the grid is the network's
    own nothing is resampled.

    Returns:
        Whether the network can.
    """
    embed = getattr(network, "patch_embed", None)
    if not isinstance(embed, PatchEmbed) or not hasattr(network, "dynamic_img_size"):
        return False
    if getattr(network, "rope", None) is not None:  # its table of rotations is of one side, if it was made so
        return bool(network.dynamic_img_size)
    network.dynamic_img_size = True
    embed.strict_img_size, embed.flatten, embed.output_fmt = False, False, Format.NHWC
    return True


class Tower(nn.Module):
    """The visual tower of an open_clip model: the picture's embedding, and the last block's tokens after its norm."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual
        own = isinstance(visual, VisionTransformer)
        self.flexible = own or free_grid(getattr(visual, "trunk", None))

    def forward(self, pictures: Tensor) -> Features:
        """Normalised pictures [B, 3, H, W] to a summary [B, C] and a map [B, C', H / patch, W / patch]."""
        answer = self.visual.forward_intermediates(pictures, indices=1, normalize_intermediates=True)
        return Features(answer["image_features"], answer["image_intermediates"][0])

    def on_any_grid(self, pictures: Tensor) -> Features:
        """The same, where open_clip's own transformer was made for another side.

        Its table of positions, the class token's first, is resampled as open_clip does it for checkpoints: bicubically
        with antialiasing.
        """
        visual = self.visual
        if not isinstance(visual, VisionTransformer):
            return self.forward(pictures)
        height, width = (side // patch for side, patch in zip(pictures.shape[2:], visual.patch_size, strict=True))
        if (height, width) == tuple(visual.grid_size):
            return self.forward(pictures)  # also since a functional call cannot be traced for other runtimes
        table = resample_abs_pos_embed(visual.positional_embedding[None], [height, width], list(visual.grid_size))
        features: Features = functional_call(self, {"visual.positional_embedding": table[0]}, (pictures,))
        return features
