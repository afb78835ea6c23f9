"""What can be built: networks as data, their modules, the spaces to sample them from, and named ones."""

from eradio.search_space.architecture import Architecture, AttentionStage, ConvStage, Neck, Stem
from eradio.search_space.backbone import Backbone
from eradio.search_space.deploy import Deployed, deploy
from eradio.search_space.network import Network, build, describe, parse_network
from eradio.search_space.official import load_official
from eradio.search_space.sampling import sample
from eradio.search_space.space import SearchSpace
from eradio.search_space.timm_model import ERadio
from eradio.search_space.timm_network import TimmNetwork
from eradio.search_space.windows import choose_windows, fit_windows, windows_at, with_window
from eradio.search_space.zoo import NamedNetwork, baselines, named

__all__ = [
    "Architecture",
    "AttentionStage",
    "Backbone",
    "ConvStage",
    "Deployed",
    "ERadio",
    "NamedNetwork",
    "Neck",
    "Network",
    "SearchSpace",
    "Stem",
    "TimmNetwork",
    "baselines",
    "build",
    "choose_windows",
    "deploy",
    "describe",
    "fit_windows",
    "load_official",
    "named",
    "parse_network",
    "sample",
    "windows_at",
    "with_window",
]
