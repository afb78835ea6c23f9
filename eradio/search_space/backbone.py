"""An architecture as a module: pictures in, summary and spatial features out."""

from collections.abc import Sequence
from itertools import pairwise

from timm.layers import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from eradio.errors import EradioError
from eradio.features import Features
from eradio.search_space.architecture import Architecture, ConvStage, Stage, Window
from eradio.search_space.blocks import conv_stage, down_sampling, make_stem
from eradio.search_space.maps import Side, crop, pad_to_multiple, round_up, side_of
from eradio.search_space.neck import Fusion
from eradio.search_space.pictures import Normalise, check_pictures
from eradio.search_space.transformer import TransformerStage
from eradio.search_space.windows import StageWindow, fit_windows, windows_at, with_window


class Level(nn.Module):
    """A stage and the down-sampling that leads to the next one."""

    def __init__(self, stage: Stage, down: nn.Module) -> None:
        super().__init__()
        self.blocks = conv_stage(stage) if isinstance(stage, ConvStage) else TransformerStage(stage)
        self.down = down

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's map [B, width, H, W], and the next stage's input [B, following, H/2, W/2]."""
        x = self.blocks(x)
        return x, self.down(x)


class Backbone(nn.Module):
    """A network of the space (second generation of E-RADIO with every knob as data).

    The summary is the mean over the positions of the spatial output. Pictures whose sides are no multiple of the
    total stride are padded with zeros below and to the right (after normalisation), and the output is cropped to
    ceil(side / output stride).

    Args:
        architecture: what to build.
        channels: of the pictures.
        normalised: whether pictures come normalised already, as timm's models take them; others are RGB in [0, 1].
        drop_path_rate: probability that the last residual branch is dropped in training; it grows linearly from 0
            at the first one, through every kind of block.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        channels: int = 3,
        normalised: bool = False,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if channels != 3 and not normalised:
            raise EradioError(f"Only RGB pictures are normalised here; give {channels} channels normalised already.")
        widths = [stage.width for stage in architecture.stages]
        neck = architecture.neck
        self.architecture = architecture
        self.total_stride = architecture.total_stride()
        self.output_stride = architecture.output_stride()
        self.summary_width = self.spatial_width = architecture.output_width()
        self.first_output = len(widths) - 1 if neck is None else neck.start
        self.checkpointing = False
        self.channels = channels
        self.normalise: nn.Module = nn.Identity() if normalised else Normalise()
        self.stem = make_stem(architecture.stem, channels, widths[0])
        downs = [down_sampling(architecture.down, *pair) for pair in pairwise(widths)]
        self.levels = nn.ModuleList(map(Level, architecture.stages, [*downs, nn.Identity()]))
        self.neck = None if neck is None else Fusion(neck, widths)
        initialise(self)
        paths = [part for part in self.modules() if isinstance(part, DropPath)]
        for place, path in enumerate(paths):
            path.drop_prob = drop_path_rate * place / max(len(paths) - 1, 1)

    def set_input_size(self, side: Side, window: Window | None = None) -> tuple[StageWindow, ...]:
        """Choose the windows for pictures of `side` (height, width) pixels; weights stay as and where they are.

        Args:
            side: of the pictures to come. Others are still computed, with these windows.
            window: use this one in every stage instead of those that `fit_windows` chooses.

        Returns:
            The windows, stage by stage, and what they waste.
        """
        side = (round_up(side[0], self.total_stride), round_up(side[1], self.total_stride))
        chosen = fit_windows(self.architecture, side) if window is None else with_window(self.architecture, window)
        for stage, level in zip(chosen.stages, self.levels, strict=True):
            if isinstance(level.blocks, TransformerStage):
                level.blocks.set_window(getattr(stage, "window", None))
        return windows_at(chosen, side)

    def maps(self, pictures: Tensor, stages: int | None = None) -> list[Tensor]:
        """The maps [B, width, H'/stride, W'/stride] of the first `stages` stages, or of all.

        H' and W' are the sides of the padded pictures, multiples of the total stride.

        Raises:
            NetworkError: the input is no batch of pictures.
        """
        check_pictures(pictures, self.channels)
        x = self.stem(pad_to_multiple(self.normalise(pictures), (self.total_stride, self.total_stride)))
        maps = []
        for level in self.levels[:stages]:
            kept, x = checkpoint(level, x, use_reentrant=False) if self.checkpointing else level(x)
            maps.append(kept)
        return maps

    def spatial(self, maps: Sequence[Tensor], side: Side) -> Tensor:
        """The spatial output [B, C, ceil(H/stride), ceil(W/stride)], from the maps of pictures of `side` pixels."""
        spatial = maps[-1] if self.neck is None else self.neck(maps[self.first_output :])
        return crop_to(spatial, side, self.output_stride)

    def forward(self, pictures: Tensor) -> Features:
        """Pictures [B, 3, H, W] in [0, 1] to a summary [B, C] and a map [B, C, H/stride, W/stride].

        Raises:
            NetworkError: the input is no batch of pictures.
        """
        spatial = self.spatial(self.maps(pictures), side_of(pictures))
        return Features(spatial.mean(dim=(2, 3)), spatial)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute stages anew in the backward pass instead of keeping what is inside them."""
        self.checkpointing = enable

    def prune(self, stages: int) -> None:
        """Drop the neck and all but the first `stages` stages; what is dropped is lost."""
        kept = self.architecture.stages[:stages]
        down = self.architecture.down if stages > 1 else None
        self.architecture = self.architecture.model_copy(update={"stages": kept, "neck": None, "down": down})
        self.levels = self.levels[:stages]
        self.levels[-1].down = nn.Identity()
        self.neck = None
        self.first_output = stages - 1
        self.output_stride = self.architecture.output_stride()
        self.summary_width = self.spatial_width = self.architecture.output_width()

    def set_bias_window(self, bias_window: int) -> None:
        """Divide relative offsets by this window from now on, as the weights ask that are to be loaded."""
        data = self.architecture.model_dump()
        for stage in data["stages"]:
            if stage.get("window") is not None:
                stage["bias_window"] = bias_window
        self.architecture = Architecture.parse(data, "The bias window")
        for stage, level in zip(self.architecture.stages, self.levels, strict=True):
            if isinstance(level.blocks, TransformerStage) and getattr(stage, "window", None) is not None:
                level.blocks.set_bias_window(bias_window)


def crop_to(x: Tensor, side: Side, stride: int) -> Tensor:
    """A map at `stride` of padded pictures, cut to the positions of the pictures of `side` pixels."""
    return crop(x, (-(-side[0] // stride), -(-side[1] // stride)))


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
