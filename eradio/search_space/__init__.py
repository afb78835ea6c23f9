"""What can be built: networks as data, their modules, the spaces to sample them from, and named ones."""

from eradio.search_space.architecture import Architecture, AttentionStage, ConvStage, Neck, Stem
from eradio.search_space.network import Network, build, describe, parse_network
from eradio.search_space.space import SearchSpace
from eradio.search_space.timm_network import TimmNetwork
from eradio.search_space.zoo import NamedNetwork, baselines, named

__all__ = [
    "Architecture",
    "AttentionStage",
    "ConvStage",
    "NamedNetwork",
    "Neck",
    "Network",
    "SearchSpace",
    "Stem",
    "TimmNetwork",
    "baselines",
    "build",
    "describe",
    "named",
    "parse_network",
]
