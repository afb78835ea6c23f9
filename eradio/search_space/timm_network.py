"""Any timm backbone behind the interface of ours."""

from difflib import get_close_matches
from typing import Any

import timm
from pydantic import Field, JsonValue
from torch import Tensor, nn

from eradio.description import Description
from eradio.errors import EradioError, NetworkError
from eradio.features import Features
from eradio.search_space.maps import side_of
from eradio.search_space.pictures import Normalise, check_pictures

_REFUSALS = (TypeError, ValueError, LookupError, AttributeError, AssertionError, RuntimeError)
"""What timm's constructors raise for options that do not fit."""


class TimmNetwork(Description):
    """A backbone of timm by its name there, with keyword options of `timm.create_model`."""

    name: str
    options: dict[str, JsonValue] = Field(default_factory=dict)


class MapBackbone(nn.Module):
    """A timm network cut to its feature maps; the last one is the spatial output, its mean the summary."""

    def __init__(self, features: Any) -> None:
        super().__init__()
        self.normalise = normaliser(features)
        self.features = features
        self.channels_last = getattr(features, "output_fmt", "NCHW") == "NHWC"
        self.summary_width = self.spatial_width = int(features.feature_info.channels()[-1])
        self.output_stride = int(features.feature_info.reduction()[-1])
        self.side = None

    def forward(self, pictures: Tensor) -> Features:
        """Pictures [B, 3, H, W] in [0, 1] to a summary [B, C] and a map [B, C, h, w].

        Raises:
            NetworkError: the input is no batch of RGB pictures.
        """
        check_pictures(pictures)
        spatial: Tensor = self.features(self.normalise(pictures))[-1]
        spatial = spatial.permute(0, 3, 1, 2) if self.channels_last else spatial
        return Features(spatial.mean(dim=(2, 3)), spatial)


class TokenBackbone(nn.Module):
    """A timm vision transformer: patch tokens as the map, the class token or their mean as the summary."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalise = normaliser(model)
        self.model = model
        self.prefix = int(model.num_prefix_tokens)
        self.class_token = getattr(model, "cls_token", None) is not None
        self.patch = tuple(model.patch_embed.patch_size)
        self.output_stride = int(self.patch[0])
        self.side = None if model.dynamic_img_size else tuple(model.patch_embed.img_size)
        self.summary_width = self.spatial_width = int(model.num_features)

    def forward(self, pictures: Tensor) -> Features:
        """Pictures [B, 3, H, W] in [0, 1] to a summary [B, C] and a map [B, C, H / patch, W / patch].

        Raises:
            NetworkError: the input is no batch of RGB pictures of a side the network takes.
        """
        check_pictures(pictures)
        height, width = side_of(pictures)
        if self.side is not None and (height, width) != self.side:
            raise NetworkError(
                f"This vision transformer takes {self.side[0]}x{self.side[1]} pixels, not {height}x{width}; "
                "set its option 'img_size', or 'dynamic_img_size: true'."
            )
        if height % self.patch[0] or width % self.patch[1]:
            raise NetworkError(
                f"{height}x{width} pixels are no whole number of {self.patch[0]}x{self.patch[1]} patches; "
                "choose another resolution or another 'patch_size'."
            )
        tokens = self.model.forward_features(self.normalise(pictures))
        patches = tokens[:, self.prefix :].transpose(1, 2)
        spatial = patches.unflatten(2, (height // self.patch[0], width // self.patch[1]))
        return Features(tokens[:, 0] if self.class_token else patches.mean(dim=2), spatial)


def normaliser(model: Any) -> Normalise:
    """The normalisation that the timm model's own preprocessing would do."""
    config = getattr(model, "model", model).default_cfg
    return Normalise(tuple(config["mean"]), tuple(config["std"]))


def timm_backbone(network: TimmNetwork) -> nn.Module:
    """Build a timm network without pretrained weights, and without the layers that only a classifier needs.

    Raises:
        NetworkError: timm knows no such model, or the model does not take the options.
    """
    check_timm_name(network.name)
    try:
        features = timm.create_model(
            network.name, pretrained=False, features_only=True, out_indices=[-1], **network.options
        )
        inner = getattr(features, "model", None)
        tokens = hasattr(inner, "num_prefix_tokens") and hasattr(getattr(inner, "patch_embed", None), "patch_size")
        if not tokens:  # convolutions, windows, or tokens of several sizes: timm gives their maps as maps
            return MapBackbone(features)
        options = {**network.options, "num_classes": 0, "global_pool": ""}
        model = timm.create_model(network.name, pretrained=False, **options)
    except _REFUSALS as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise NetworkError(
            f"timm cannot build a feature extractor from '{network.name}' with options {network.options}: "
            f"{reason}. Change the options or choose another model."
        ) from None
    return TokenBackbone(model)


def check_timm_name(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        EradioError: with the closest names timm knows.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models() for the names."
        raise EradioError(f"timm has no model '{name}'; {hint}")
