"""The multi-level neck: maps of several stages summed at one resolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from eradio.search_space.architecture import Neck


def branch(inputs: int, neck: Neck, ratio: int) -> nn.Module:
    """One stage's way into the neck: [B, inputs, h, w] to [B, neck.width, h * ratio, w * ratio]."""
    if ratio == 1 and inputs == neck.width:
        return nn.Identity()
    if neck.branch == "shuffle":
        conv = nn.Conv2d(inputs, neck.width * ratio**2, 1)
        return nn.Sequential(nn.BatchNorm2d(inputs), conv, nn.PixelShuffle(ratio))
    if neck.branch == "deconv":
        return nn.Sequential(nn.ConvTranspose2d(inputs, neck.width, ratio, ratio), nn.BatchNorm2d(neck.width))
    return nn.Sequential(
        nn.Upsample(scale_factor=ratio),
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, neck.width, 1),
    )


class Fusion(nn.Module):
    """The sum of the branches of all stages from the neck's start on."""

    def __init__(self, neck: Neck, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branch(width, neck, 2**level) for level, width in enumerate(widths[neck.start :]))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the stages from the start on, each half the size of the one before, to [B, width, h, w]."""
        total: Tensor = self.branches[0](maps[0])
        for module, deeper in zip(self.branches[1:], maps[1:], strict=True):
            total = total + module(deeper)
        return total
