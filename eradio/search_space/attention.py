"""Attention among the tokens of a window, or of the whole map at a cost linear in their number."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eradio.search_space.maps import Side
from eradio.search_space.position import PositionBias


class Attention(nn.Module):
    """Multi-head self-attention with the continuous position bias."""

    def __init__(self, width: int, heads: int, bias_width: int, reference: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.position: nn.Module = PositionBias(heads, bias_width, reference)

    def forward(self, tokens: Tensor, window: Side) -> Tensor:
        """Tokens [n, h * w, C] of windows of side (h, w) to the same shape."""
        positions, width = window[0] * window[1], int(tokens.shape[2])
        packed = self.qkv(tokens).reshape(-1, positions, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.position(window))
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(-1, positions, width))
        return projected


class LinearAttention(nn.Module):
    """Multi-scale linear attention of EfficientViT (arXiv 2205.14756, section 3.1).

    The similarity of query and key is the product of their ReLUs, so keys and values are summed once for all
    queries. Half of the heads see queries, keys and values gathered from 5x5 neighbourhoods by a depth-wise and a
    grouped 1x1 convolution, which also tells tokens apart by their place.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.dim = width // heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gather = nn.Sequential(
            nn.Conv2d(3 * width, 3 * width, 5, padding=2, groups=3 * width, bias=False),
            nn.Conv2d(3 * width, 3 * width, 1, groups=3 * heads, bias=False),
        )
        self.project = nn.Linear(2 * width, width, bias=False)

    def forward(self, tokens: Tensor, window: Side) -> Tensor:
        """Tokens [B, h * w, C] of a whole map of side (h, w) to the same shape."""
        positions, width = window[0] * window[1], int(tokens.shape[2])
        near = self.qkv(tokens)
        grid = near.transpose(1, 2).reshape(-1, 3 * width, *window)
        far = self.gather(grid).flatten(2).transpose(1, 2)
        packed = torch.stack((near, far), dim=2).reshape(-1, positions, 2, 3, width // self.dim, self.dim)
        query, key, value = packed.permute(3, 0, 2, 4, 1, 5).unbind(0)
        # A mean over the keys, in numerator and denominator alike, stays in range where half precision sums do not.
        query, key = F.relu(query), F.relu(key) / positions
        mixed = query @ (key.transpose(-2, -1) @ value)
        mixed = mixed / (query @ key.sum(dim=-2).unsqueeze(-1) + 1e-6)
        projected: Tensor = self.project(mixed.permute(0, 3, 1, 2, 4).reshape(-1, positions, 2 * width))
        return projected
