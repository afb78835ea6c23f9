"""The transformer stage: multi-resolution attention, block by block of its pattern."""

from collections.abc import Sequence
from math import lcm

from timm.layers import DropPath
from torch import Tensor, nn

from eradio.search_space.architecture import AttentionStage, Window, is_windowed, subsampling, window_sides
from eradio.search_space.attention import Attention, LinearAttention
from eradio.search_space.blocks import conv_norm
from eradio.search_space.maps import (
    Pool,
    Resize,
    Side,
    crop,
    from_windows,
    pad_to_multiple,
    round_up,
    side_of,
    to_windows,
)
from eradio.search_space.position import PositionBias


class LocalConv(nn.Module):
    """A 3x3 convolution and batch norm added to the map, so that neighbouring windows exchange something."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv = conv_norm(width, width, 3, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.conv(x)
        return y + x


def entrance(stage: AttentionStage, entry: str) -> nn.Module:
    """What stands between the stage's map and the tokens of an entry of its pattern."""
    width, ratio = stage.width, subsampling(entry)
    if ratio > 1:
        if stage.enter == "conv":
            return nn.Conv2d(width, width, ratio, ratio)
        return nn.Sequential(Pool(ratio), conv_norm(width, width, 1))
    if entry != "local" or stage.local_conv == "none":
        return nn.Identity()
    return LocalConv(width, width if stage.local_conv == "depthwise" else 1)


def way_out(stage: AttentionStage, entry: str) -> nn.Module:
    """What brings the tokens' map back to the stage's resolution."""
    width, ratio = stage.width, subsampling(entry)
    if ratio == 1:
        return nn.Identity()
    if stage.enter == "conv":
        return nn.ConvTranspose2d(width, width, ratio, ratio)
    return nn.Sequential(nn.Upsample(scale_factor=ratio), conv_norm(width, width, 1))


class AttentionBlock(nn.Module):
    """One entry of the pattern: enter, attention, MLP, leave, and the mean with the input."""

    def __init__(self, stage: AttentionStage, entry: str) -> None:
        super().__init__()
        width, hidden = stage.width, stage.width * stage.mlp_ratio
        self.kind = f"{entry} attention"
        self.ratio = subsampling(entry)
        self.windowed = is_windowed(entry)
        self.window: Side | None = None
        self.enter = entrance(stage, entry)
        self.leave = way_out(stage, entry)
        self.attention_norm = nn.LayerNorm(width)
        reference = stage.bias_window if self.windowed else None
        self.attention: nn.Module = (
            LinearAttention(width, stage.heads)
            if entry == "linear"
            else Attention(width, stage.heads, stage.bias_width or 512, reference)
        )
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False))
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        height, width = self.window or (1, 1)
        y: Tensor = self.enter(pad_to_multiple(x, (self.ratio * height, self.ratio * width)))
        side = side_of(y)
        window = self.window or side
        tokens = to_windows(y, window)
        tokens = tokens + self.drop_path(self.attention(self.attention_norm(tokens), window))
        tokens = tokens + self.drop_path(self.mlp(self.mlp_norm(tokens)))
        y = self.leave(from_windows(tokens, window, side))
        return 0.5 * crop(y, side_of(x)) + 0.5 * x


class TransformerStage(nn.Module):
    """`depth` times the blocks of the pattern; resized as a whole where its map does not fit the windows."""

    def __init__(self, stage: AttentionStage) -> None:
        super().__init__()
        self.resizes = stage.fit == "resize"
        self.multiple = lcm(*map(subsampling, stage.pattern))
        self.blocks = nn.Sequential(*(AttentionBlock(stage, entry) for entry in stage.pattern * stage.depth))
        self.grow: nn.Module = Resize()
        self.shrink: nn.Module = Resize()
        self.set_window(stage.window)

    def set_window(self, window: Window | None) -> None:
        """Cut other windows from now on; no weight depends on it."""
        self.window = None if window is None else window_sides(window)
        for block in self.attention_blocks():
            block.window = self.window if block.windowed else None

    def set_bias_window(self, bias_window: int) -> None:
        """Divide the relative offsets of windowed blocks by this window."""
        for block in self.attention_blocks():
            position = getattr(block.attention, "position", None)
            if block.windowed and isinstance(position, PositionBias):
                position.reference = bias_window

    def attention_blocks(self) -> list[AttentionBlock]:
        """The blocks, one for each entry of the pattern, `depth` times."""
        return [block for block in self.blocks if isinstance(block, AttentionBlock)]

    def fitting(self, side: Side) -> Side:
        """The side that a map of this side is resized to."""
        return fitting_side(side, self.window, self.multiple) if self.resizes else side

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        side = side_of(x)
        y: Tensor = self.shrink(self.blocks(self.grow(x, self.fitting(side))), side)
        return y


def fitting_side(side: Sequence[int], window: Side | None, multiple: int) -> Side:
    """The smallest side, from this one up, that windows cut whole on the map and on its sub-sampled versions."""
    height, width = window or (1, 1)
    return round_up(side[0], multiple * height), round_up(side[1], multiple * width)
