"""Where a token stands: the continuous relative position bias, computed or fixed for one window."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eradio.errors import EradioError
from eradio.search_space.maps import Side


def relative_offsets(window: Side, reference: int, device: torch.device) -> Tensor:
    """Every offset between two positions of a window, log-spaced: [(2h - 1) * (2w - 1), 2], rows first.

    Offsets are divided by `reference` - 1, times 8, then sign * log2(1 + |.|) / log2(8), as in Swin v2
    (arXiv 2111.09883, equation 4).
    """
    height, width = window
    rows = torch.arange(1 - height, height, device=device, dtype=torch.float32)
    columns = torch.arange(1 - width, width, device=device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2)
    grid = grid * (8 / max(reference - 1, 1))
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

    Nothing derived from the window is stored, so a state dict fits every window. Offsets are relative to the window
    (the whole map in global attention), or divided by a `reference` window that stays as it is when windows change.
    """

    def __init__(self, heads: int, hidden: int, reference: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.reference = reference
        self.inner = nn.Linear(2, hidden)
        self.outer = nn.Linear(hidden, heads, bias=False)

    def forward(self, window: Side) -> Tensor:
        """Bias [1, heads, N, N] between the N = h * w positions of a window."""
        weight = self.inner.weight
        offsets = relative_offsets(window, self.reference or max(window), weight.device).to(weight.dtype)
        table: Tensor = 16 * torch.sigmoid(self.outer(F.relu(self.inner(offsets))))
        positions = window[0] * window[1]
        bias = table.index_select(0, relative_index(window, weight.device))
        return bias.reshape(positions, positions, self.heads).permute(2, 0, 1).unsqueeze(0)


class FixedBias(nn.Module):
    """The position bias of one window, computed once."""

    bias: Tensor

    def __init__(self, position: PositionBias, window: Side) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("bias", position(window).detach().contiguous())

    def forward(self, window: Side) -> Tensor:
        """Bias [1, heads, N, N] between the N = h * w positions of the window.

        Raises:
            EradioError: it was computed for another window.
        """
        if window != self.window:
            raise EradioError(
                f"This network's position bias was computed for windows of {self.window}, not {window}; "
                "deploy the training form again for the other size."
            )
        return self.bias
