"""An architecture as a module: pictures in, summary and spatial features out."""

from torch import Tensor, nn

from eradio.features import Features
from eradio.search_space.architecture import Architecture, ConvStage, Stage
from eradio.search_space.attention import MultiResolutionStage
from eradio.search_space.blocks import C2f, Residual, conv_norm, stem
from eradio.search_space.maps import crop, pad_to_multiple, side_of
from eradio.search_space.neck import Fusion
from eradio.search_space.pictures import Normalise, check_pictures


def blocks_of(stage: Stage) -> nn.Module:
    """The body of a stage, without its down-sampling: [B, width, H, W] to the same shape."""
    if not isinstance(stage, ConvStage):
        return MultiResolutionStage(stage)
    if stage.kind == "c2f":
        return C2f(stage.width, stage.depth)
    return nn.Sequential(*(Residual(stage.width) for _ in range(stage.depth)))


class Level(nn.Module):
    """A stage and the strided convolution that leads to the next one."""

    def __init__(self, stage: Stage, following: int | None) -> None:
        super().__init__()
        self.blocks = blocks_of(stage)
        self.down = nn.Identity() if following is None else conv_norm(stage.width, following, 3, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's map [B, width, H, W], and the next stage's input [B, following, H/2, W/2]."""
        x = self.blocks(x)
        return x, self.down(x)


class Backbone(nn.Module):
    """A network of the space (second generation of E-RADIO with every knob as data).

    The summary is the mean over the positions of the spatial output. Sides that are no multiple of the total
    stride are padded, and the output is cropped to ceil(side / output stride).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = [stage.width for stage in architecture.stages]
        neck = architecture.neck
        self.total_stride = architecture.total_stride()
        self.output_stride = architecture.output_stride()
        self.summary_width = self.spatial_width = architecture.output_width()
        self.first_output = len(widths) - 1 if neck is None else neck.start
        self.normalise = Normalise()
        self.stem = stem(architecture.stem.width, widths[0])
        self.levels = nn.ModuleList(map(Level, architecture.stages, [*widths[1:], None]))
        self.neck = None if neck is None else Fusion(neck, widths)
        initialise(self)

    def forward(self, pictures: Tensor) -> Features:
        """Pictures [B, 3, H, W] in [0, 1] to a summary [B, C] and a map [B, C, H/stride, W/stride].

        Raises:
            EradioError: the input is no batch of RGB pictures.
        """
        check_pictures(pictures)
        x = self.stem(pad_to_multiple(self.normalise(pictures), self.total_stride))
        maps = []
        for level in self.levels:
            kept, x = level(x)
            maps.append(kept)
        spatial = maps[-1] if self.neck is None else self.neck(maps[self.first_output :])
        height, width = side_of(pictures)
        spatial = crop(spatial, (-(-height // self.output_stride), -(-width // self.output_stride)))
        return Features(spatial.mean(dim=(2, 3)), spatial)


def initialise(module: nn.Module) -> None:
    """Truncated normal of deviation 0.02 for linear weights; convolutions keep the framework's default.

    Norms start at gain 1 and a shift near zero, not at zero, so that no compiler folds a shift away when an
    untrained network is timed.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
        elif isinstance(part, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.trunc_normal_(part.bias, std=0.02)
