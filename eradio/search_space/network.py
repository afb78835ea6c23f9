"""What every room calls a network: an architecture of ours or one of timm's, built and described alike."""

from typing import Any

import torch
from torch import nn

from eradio.errors import EradioError
from eradio.search_space.architecture import Architecture, AttentionStage, Stage, window_sides
from eradio.search_space.backbone import Backbone
from eradio.search_space.timm_network import TimmNetwork, timm_backbone

Network = Architecture | TimmNetwork


def build(network: Network, seed: int = 0) -> nn.Module:
    """The module of a network, with random weights that are a pure function of the network and the seed.

    It maps pictures [B, 3, H, W] in [0, 1] to `Features`, and has `summary_width` and `spatial_width`.

    Raises:
        EradioError: timm cannot build it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Backbone(network) if isinstance(network, Architecture) else timm_backbone(network)


def describe(network: Network) -> str:
    """One line in words."""
    if isinstance(network, TimmNetwork):
        options = ", ".join(f"{name} {value}" for name, value in network.options.items())
        return f"timm {network.name}" + (f" ({options})" if options else "")
    stem = network.stem
    words = [f"stem {stem.width or stem.kind}", *map(_stage, network.stages)]
    if network.down == "unshuffle":
        words.append("unshuffle between stages")
    if network.neck is not None:
        words.append(f"{network.neck.branch} neck {network.neck.width} at stride {network.output_stride()}")
    return ", ".join(words)


def parse_network(data: Any, where: str) -> Network:
    """A network from plain data: an architecture has `stages`, a timm network a `name`.

    Raises:
        EradioError: one sentence for each mistake, naming the key and `where` it stands.
    """
    if not isinstance(data, dict) or not data.keys() & {"stages", "name"}:
        raise EradioError(
            f"{where} describes no network; give an architecture ('stem', 'stages', 'neck') "
            "or a timm network ('name', 'options')."
        )
    return Architecture.parse(data, where) if "stages" in data else TimmNetwork.parse(data, where)


def _stage(stage: Stage) -> str:
    words = f"{stage.kind} {stage.width}x{stage.depth}"
    if not isinstance(stage, AttentionStage):
        knobs = [f" {name} {getattr(stage, name)}" for name in ("kernel", "expansion") if getattr(stage, name)]
        return words + "".join(knobs)
    words += f" [{', '.join(stage.pattern)}]"
    if stage.window is None:
        return words
    return f"{words} window {'x'.join(map(str, dict.fromkeys(window_sides(stage.window))))}"
