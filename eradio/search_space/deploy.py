"""The deploy form: a network for one input size, with batch norms folded and position biases computed once."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.features import Features
from eradio.search_space.attention import Attention
from eradio.search_space.backbone import Backbone
from eradio.search_space.maps import FixedResize, Side, side_of
from eradio.search_space.position import FixedBias, PositionBias
from eradio.search_space.transformer import AttentionBlock, LocalConv, TransformerStage
from eradio.search_space.windows import map_side

Convolution = nn.Conv2d | nn.ConvTranspose2d


class Deployed(nn.Module):
    """A frozen copy of a backbone for pictures of one size; see `deploy`."""

    def __init__(self, body: Backbone, side: Side) -> None:
        super().__init__()
        self.body = body
        self.side = side
        self.summary_width, self.spatial_width = body.summary_width, body.spatial_width
        self.eval()

    def forward(self, pictures: Tensor) -> Features:
        """Pictures [B, 3, H, W] in [0, 1] to what the training form gives.

        Raises:
            EradioError: the pictures are of another size than it was deployed for.
        """
        if pictures.ndim == 4 and side_of(pictures) != self.side:
            given, made = ("x".join(map(str, side)) for side in (side_of(pictures), self.side))
            raise EradioError(f"This network was deployed for {made} pixels, not {given}; deploy it for that size too.")
        features: Features = self.body(pictures)
        return features

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what another deployed copy of the same network and size saved.

        Raises:
            EradioError: these are other weights, such as those of the training form.
        """
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError:
            raise EradioError(
                "These weights are not those of this deploy form. Load them into the training form "
                "(eradio.search_space.build), then deploy it."
            ) from None


def deploy(backbone: Backbone, side: Side) -> Deployed:
    """A copy for pictures of `side` (height, width) pixels that computes the same with fewer operations.

    Batch norms are folded into the convolutions beside them, the identity of a local convolution into its kernel,
    position biases are computed, and positions of resized maps are picked by number. The backbone is left as it was,
    windows included, so it does not matter what is loaded or resized first: deploying is always the last step, and
    can be repeated.

    Args:
        backbone: in its training form, on any device; its mode does not matter.
        side: the only size of pictures that the copy takes.
    """
    body = copy.deepcopy(backbone).eval().requires_grad_(False)
    body.checkpointing = False
    for part in list(body.modules()):
        if isinstance(part, nn.Sequential):
            fold_norms(part)
    for index, level in enumerate(body.levels):
        if isinstance(level.blocks, TransformerStage):
            here = map_side(body.architecture, index, side)
            whole = level.blocks.fitting(here)
            if whole != here:
                device = next(body.parameters()).device
                level.blocks.grow = FixedResize(here, whole, device)
                level.blocks.shrink = FixedResize(whole, here, device)
            for block in level.blocks.attention_blocks():
                _simplify(block, whole)
    return Deployed(body, side)


def fold_norms(sequence: nn.Sequential) -> None:
    """Fold, in place, every batch norm that follows a convolution, or stands before one that pads nothing.

    The order of the parts and what they compute in evaluation mode stay the same; a folded norm leaves an identity.
    """
    parts = list(sequence)
    for place, norm in enumerate(parts):
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = parts[place - 1] if place else None
        after = parts[place + 1] if place + 1 < len(parts) else None
        if isinstance(before, Convolution):
            parts[place - 1] = sequence[place - 1] = _absorb_following(before, norm)
        elif isinstance(after, nn.Conv2d) and after.groups == 1 and after.padding == (0, 0):
            parts[place + 1] = sequence[place + 1] = _absorb_preceding(norm, after)
        else:
            continue
        parts[place] = sequence[place] = nn.Identity()


def _simplify(block: AttentionBlock, whole: Side) -> None:
    """Compute a block's position bias for its window, or the whole map, and put an added identity into its kernel."""
    if isinstance(block.attention, Attention) and isinstance(block.attention.position, PositionBias):
        block.attention.position = FixedBias(block.attention.position, block.window or whole)
    if isinstance(block.enter, LocalConv):
        conv = block.enter.conv[0]
        assert isinstance(conv, nn.Conv2d)
        own = torch.arange(conv.out_channels)
        conv.weight[own, own % conv.weight.shape[1], 1, 1] += 1
        block.enter = conv


def _gain_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What the norm does in evaluation mode, a channel, in double precision."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    deviation = (norm.running_var.double() + norm.eps).sqrt()
    gain = norm.weight.double() / deviation
    return gain, norm.bias.double() - norm.running_mean.double() * gain


def _absorb_following(conv: Convolution, norm: nn.BatchNorm2d) -> Convolution:
    gain, shift = _gain_and_shift(norm)
    outputs = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    bias = torch.zeros_like(gain) if conv.bias is None else conv.bias.double()
    return _changed(conv, conv.weight.double() * gain.view(outputs), bias * gain + shift)


def _absorb_preceding(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> Convolution:
    gain, shift = _gain_and_shift(norm)
    weight = conv.weight.double()
    added = (weight * shift.view(1, -1, 1, 1)).sum(dim=(1, 2, 3))
    bias = added if conv.bias is None else conv.bias.double() + added
    return _changed(conv, weight * gain.view(1, -1, 1, 1), bias)


def _changed(conv: Convolution, weight: Tensor, bias: Tensor) -> Convolution:
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    folded.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
    return folded
