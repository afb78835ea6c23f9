"""Multi-resolution attention: windows, the continuous position bias, and the stage that repeats a pattern."""

from math import lcm

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eradio.search_space.architecture import GLOBAL, LOCAL, AttentionStage
from eradio.search_space.blocks import conv_norm
from eradio.search_space.maps import Side, crop, pad_to_multiple, resize, round_up, side_of


def to_windows(x: Tensor, window: Side) -> Tensor:
    """Cut a map [B, C, H, W] into windows [B * windows, positions, C]; the sides must be multiples."""
    width = int(x.shape[1])
    rows, columns = (side // part for side, part in zip(side_of(x), window, strict=True))
    cells = x.permute(0, 2, 3, 1).reshape(-1, rows, window[0], columns, window[1], width)
    return cells.transpose(2, 3).reshape(-1, window[0] * window[1], width)


def from_windows(tokens: Tensor, window: Side, side: Side) -> Tensor:
    """Put windows [B * windows, positions, C] back together as a map [B, C, H, W]: undoes `to_windows`."""
    rows, columns = side[0] // window[0], side[1] // window[1]
    width = int(tokens.shape[2])
    cells = tokens.reshape(-1, rows, columns, window[0], window[1], width)
    return cells.transpose(2, 3).reshape(-1, *side, width).permute(0, 3, 1, 2)


def relative_offsets(window: Side, device: torch.device) -> Tensor:
    """Every offset between two positions of a window, log-spaced: [(2h - 1) * (2w - 1), 2], rows first.

    Offsets are divided by the longer side less one, times 8, then sign * log2(1 + |.|) / log2(8), as in
    Swin v2 (arXiv 2111.09883, equation 4).
    """
    height, width = window
    rows = torch.arange(1 - height, height, device=device, dtype=torch.float32)
    columns = torch.arange(1 - width, width, device=device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2)
    grid = grid * (8 / max(height - 1, width - 1, 1))
    return grid.sign() * torch.log2(1 + grid.abs()) / 3


def relative_index(window: Side, device: torch.device) -> Tensor:
    """For every (query, key) of a window, the row of `relative_offsets` that holds their offset: [N * N]."""
    height, width = window
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    down = rows[:, None] - rows[None, :] + height - 1
    right = columns[:, None] - columns[None, :] + width - 1
    return (down * (2 * width - 1) + right).flatten()


class PositionBias(nn.Module):
    """Continuous relative position bias: a small network from an offset to one bias a head.

    Nothing derived from the window is stored, so a state dict fits every window.
    """

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.inner = nn.Linear(2, hidden)
        self.outer = nn.Linear(hidden, heads, bias=False)

    def forward(self, window: Side) -> Tensor:
        """Bias [1, heads, N, N] between the N = h * w positions of a window."""
        weight = self.inner.weight
        offsets = relative_offsets(window, weight.device).to(weight.dtype)
        table: Tensor = 16 * torch.sigmoid(self.outer(F.relu(self.inner(offsets))))
        positions = window[0] * window[1]
        bias = table.index_select(0, relative_index(window, weight.device))
        return bias.reshape(positions, positions, self.heads).permute(2, 0, 1).unsqueeze(0)


class Attention(nn.Module):
    """Multi-head self-attention with the continuous position bias."""

    def __init__(self, width: int, heads: int, bias_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.position = PositionBias(heads, bias_width)

    def forward(self, tokens: Tensor, window: Side) -> Tensor:
        """Tokens [n, h * w, C] of windows of side (h, w) to the same shape."""
        positions, width = window[0] * window[1], int(tokens.shape[2])
        packed = self.qkv(tokens).reshape(-1, positions, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.position(window))
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(-1, positions, width))
        return projected


class LocalConv(nn.Module):
    """A 3x3 convolution and batch norm added to the map, so that neighbouring windows exchange something."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv = conv_norm(width, width, 3, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.conv(x)
        return y + x


def entrance(stage: AttentionStage, ratio: int) -> nn.Module:
    """What stands between the stage's map and the tokens of an entry of its pattern."""
    width = stage.width
    if ratio == GLOBAL or (ratio == LOCAL and stage.local_conv == "none"):
        return nn.Identity()
    if ratio == LOCAL:
        return LocalConv(width, width if stage.local_conv == "depthwise" else 1)
    if stage.enter == "conv":
        return nn.Conv2d(width, width, ratio, ratio)
    return nn.Sequential(nn.AvgPool2d(ratio), conv_norm(width, width, 1))


def way_out(stage: AttentionStage, ratio: int) -> nn.Module:
    """What brings the tokens' map back to the stage's resolution."""
    if ratio <= LOCAL:
        return nn.Identity()
    if stage.enter == "conv":
        return nn.ConvTranspose2d(stage.width, stage.width, ratio, ratio)
    return nn.Sequential(nn.Upsample(scale_factor=ratio), conv_norm(stage.width, stage.width, 1))


class AttentionBlock(nn.Module):
    """One entry of the pattern: enter, attention, MLP, leave, and the mean with the input."""

    def __init__(self, stage: AttentionStage, ratio: int) -> None:
        super().__init__()
        width, hidden = stage.width, stage.width * stage.mlp_ratio
        self.window = None if ratio == GLOBAL or stage.window is None else (stage.window, stage.window)
        self.multiple = max(ratio, 1) * (1 if self.window is None else self.window[0])
        self.enter = entrance(stage, ratio)
        self.leave = way_out(stage, ratio)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, stage.heads, stage.bias_width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.enter(pad_to_multiple(x, self.multiple))
        side = side_of(y)
        window = self.window or side
        tokens = to_windows(y, window)
        tokens = tokens + self.attention(self.attention_norm(tokens), window)
        tokens = tokens + self.mlp(self.mlp_norm(tokens))
        y = self.leave(from_windows(tokens, window, side))
        return 0.5 * crop(y, side_of(x)) + 0.5 * x


class MultiResolutionStage(nn.Module):
    """`depth` times the blocks of the pattern; resized as a whole where its map does not fit the windows."""

    def __init__(self, stage: AttentionStage) -> None:
        super().__init__()
        ratios = stage.pattern * stage.depth
        fitting = (stage.window or 1) * lcm(*(max(ratio, 1) for ratio in ratios))
        self.multiple = fitting if stage.fit == "resize" else 1
        self.blocks = nn.Sequential(*(AttentionBlock(stage, ratio) for ratio in ratios))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        side = side_of(x)
        fitting = (round_up(side[0], self.multiple), round_up(side[1], self.multiple))
        y: Tensor = self.blocks(resize(x, fitting))
        return resize(y, side)
