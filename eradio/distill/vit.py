"""What is done to a plain vision transformer while it is taught: cropped positions, sampled windows, spectral gains.

All of it is put on before the first step and folded away after the last, so that the finished network is timm's own.
Draws are a function of the recipe's seed and the step, and what is estimated over steps (the singular vectors) moves
once a step, so that neither micro-batches nor processes nor restarts change it.
"""

import math
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from eradio.distill.recipe import Vit

GAIN = "gain"
"""What the weights of spectral layers are multiplied by."""

_GLOBAL = 4
"""Attention sees all of a picture in the last block of each of so many equal parts (ViTDet, arXiv 2203.16527)."""
_SETTLING = 50
"""Power iterations from a random start, after which sigma is within a thousandth for any layer tried."""


class SpectralGain(nn.Module):
    """W to gain / sigma(W) W with sigma the largest singular value (sigma-Reparam, arXiv 2303.06296, section 3).

    Sigma is u^T W v, whose vectors move by one power iteration a step (`move`). The gain begins as sigma, so that the
    network is at first what it was.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(weight.shape[0] * weight.shape[1])
        self.register_buffer("left", torch.zeros_like(weight[:, 0]))
        self.register_buffer("right", normalize(torch.randn(weight.shape[1], generator=draw), dim=0).to(weight))
        self.move(weight.detach(), _SETTLING)
        self.gain = nn.Parameter(self._sigma(weight.detach()).reshape(1))

    def forward(self, weight: Tensor) -> Tensor:
        """[out, in] to the same."""
        return weight * (self.gain / self._sigma(weight))

    @torch.no_grad()
    def move(self, weight: Tensor, times: int = 1) -> None:
        """Bring the singular vectors nearer to those of the weight as it is now."""
        for _ in range(times):
            self.left.copy_(normalize(weight @ self.right, dim=0))
            self.right.copy_(normalize(weight.T @ self.left, dim=0))

    def _sigma(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return torch.dot(self.left, weight @ self.right)


class CroppedPositions(nn.Module):
    """A table of positions as a picture that shows but a part of the world would find it (arXiv 2312.06709).

    Attributes:
        window: top, left, height and width in parts of the grid; None for all of it.
    """

    def __init__(self, grid: tuple[int, int], prefix: int) -> None:
        super().__init__()
        self.grid, self.prefix = grid, prefix
        self.window: tuple[float, float, float, float] | None = None

    def forward(self, table: Tensor) -> Tensor:
        """[1, prefix + h * w, C] to the same, the grid's part sampled bilinearly within the window."""
        if self.window is None or not self.training:
            return table
        own, grid = table[:, : self.prefix], table[:, self.prefix :].transpose(1, 2)
        top, left, height, width = self.window
        theta = table.new_tensor([[[width, 0, 2 * left + width - 1], [0, height, 2 * top + height - 1]]])
        places = nn.functional.affine_grid(theta, [1, 1, *self.grid], align_corners=False)
        seen = nn.functional.grid_sample(
            grid.reshape(1, -1, *self.grid), places, padding_mode="border", align_corners=False
        )
        return torch.cat([own, seen.flatten(2).transpose(1, 2)], dim=1)


class VitTraining:
    """What the recipe asks for, put on a backbone; nothing on any that is no plain vision transformer of timm.

    In evaluation mode the backbone sees pictures as it will when it is finished.

    Args:
        backbone: of the student.
        settings: of the recipe.
        seed: of the recipe.
    """

    def __init__(self, backbone: nn.Module, settings: Vit, seed: int) -> None:
        model: Any = getattr(backbone, "model", None)
        self._settings, self._seed = settings, seed
        self._spectral: list[nn.Linear] = []
        self._positions: CroppedPositions | None = None
        self._windows: tuple[int, ...] = ()
        self._hooks: list[Any] = []
        self._model = model
        if not isinstance(model, VisionTransformer):
            return
        if settings.spectral:
            self._spectral = [one for one in model.blocks.modules() if isinstance(one, nn.Linear)]
            for layer in self._spectral:
                parametrize.register_parametrization(layer, "weight", SpectralGain(layer.weight))
        if settings.positions < 1 and model.pos_embed is not None:
            grid = model.patch_embed.grid_size
            self._positions = CroppedPositions(grid, model.pos_embed.shape[1] - grid[0] * grid[1])
            parametrize.register_parametrization(model, "pos_embed", self._positions)
        if settings.windows:
            count = len(model.blocks)
            whole = {round(count * (part + 1) / _GLOBAL) - 1 for part in range(_GLOBAL)}
            for number, block in enumerate(model.blocks):
                if number not in whole:
                    self._put_windows(block, model.num_prefix_tokens)

    def begin_step(self, step: int) -> None:
        """Draw a step's windows, and let the singular vectors follow the weights."""
        draw = np.random.Generator(np.random.Philox(key=self._seed, counter=[0, 0, step, 4]))
        order = draw.permutation(len(self._settings.windows))
        self._windows = tuple(self._settings.windows[place] for place in order)
        side = math.sqrt(draw.uniform(self._settings.positions, 1.0))
        top, left = draw.uniform(0.0, 1.0 - side, size=2)
        if self._positions is not None:
            self._positions.window = float(top), float(left), side, side
        self._move(1)

    def settle(self) -> None:
        """Find the singular vectors anew, after the weights were replaced by others."""
        self._move(_SETTLING)

    def finish(self) -> None:
        """Fold it all away: the network has its own weights again, and answers as it did."""
        for layer in self._spectral:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        if self._positions is not None:
            parametrize.remove_parametrizations(self._model, "pos_embed", leave_parametrized=True)
        for hook in self._hooks:
            hook.remove()
        self._spectral, self._positions, self._hooks = [], None, []

    def _move(self, times: int) -> None:
        for layer in self._spectral:
            gains: Any = layer.parametrizations["weight"]  # type: ignore[index]
            gains[0].move(gains.original, times)

    def _put_windows(self, block: nn.Module, prefix: int) -> None:
        cut: list[tuple[int, int] | None] = []

        def before(block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            side = math.isqrt(inputs[0].shape[1] - prefix)
            fitting = (one for one in self._windows if block.training and side % one == 0 and one < side)
            window = next(fitting, None)
            cut.append(None if window is None else (side, window))
            return inputs if window is None else (into_windows(inputs[0], prefix, side, window), *inputs[1:])

        def after(_: nn.Module, inputs: tuple[Tensor, ...], answer: Tensor) -> Tensor:
            known = cut.pop()
            return answer if known is None else out_of_windows(answer, prefix, *known)

        self._hooks += [block.register_forward_pre_hook(before), block.register_forward_hook(after)]


def into_windows(tokens: Tensor, prefix: int, side: int, window: int) -> Tensor:
    """Tokens [B, prefix + side², C] as those of windows [B n, prefix + window², C]; the prefix stands in each."""
    own, grid = tokens[:, :prefix], tokens[:, prefix:]
    across, count = side // window, len(tokens)
    rows = grid.reshape(count, across, window, across, window, -1).transpose(2, 3)
    windows = rows.reshape(count, across**2, window**2, -1)
    each = own[:, None].expand(-1, windows.shape[1], -1, -1)
    return torch.cat([each, windows], dim=2).flatten(0, 1)


def out_of_windows(tokens: Tensor, prefix: int, side: int, window: int) -> Tensor:
    """The way back; the prefix is the mean of what it became in each window."""
    across = side // window
    parts = tokens.reshape(-1, across**2, *tokens.shape[1:])
    count = len(parts)
    grid = parts[:, :, prefix:].reshape(count, across, across, window, window, -1).transpose(2, 3)
    return torch.cat([parts[:, :, :prefix].mean(1), grid.reshape(count, side**2, -1)], dim=1)
