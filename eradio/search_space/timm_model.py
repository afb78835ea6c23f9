"""Our networks as timm models: registered by name, with timm's whole interface."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, register_notrace_module
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.search_space.architecture import Architecture, AttentionStage, Window
from eradio.search_space.backbone import Backbone, crop_to
from eradio.search_space.maps import Side, side_of
from eradio.search_space.official import is_official, load_official, official_classifier
from eradio.search_space.pictures import CLIP_DEVIATION, CLIP_MEAN
from eradio.search_space.windows import StageWindow
from eradio.search_space.zoo import zoo

register_notrace_module(Backbone)

_UNSHUFFLED = "backbone.stem.1.0"

CUSTOM = "eradio_custom"
"""timm's name of a network that has none of its own; it takes the architecture as an argument."""

_PRETRAINING_SIDE = 224


class ERadio(nn.Module):
    """A backbone with a classifier, as timm's models are: pictures come normalised, and logits go out.

    The features are those of `Backbone`; batch norm, pooling and a linear layer make logits of them, as in the
    official network. Without classes there is no norm either, and the pooled output is the student's summary.

    Args:
        architecture: what to build, also as plain data.
        num_classes: of the classifier; 0 for none.
        in_chans: channels of the pictures.
        global_pool: "avg", "max", "avgmax", "catavgmax", or "" for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: as in `Backbone`.
        img_size: choose the windows for this size, as `set_input_size` does; the architecture's own if None.
        window_size: as in `set_input_size`.
    """

    def __init__(
        self,
        architecture: Architecture | Mapping[str, Any],
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        img_size: int | Side | None = None,
        window_size: Window | None = None,
    ) -> None:
        super().__init__()
        architecture = parse_architecture(architecture)
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.backbone = Backbone(architecture, channels=in_chans, normalised=True, drop_path_rate=drop_path_rate)
        self.num_features = self.head_hidden_size = self.embed_dim = self.backbone.spatial_width
        self.feature_info = [
            {"num_chs": stage.width, "reduction": 4 << index, "module": f"backbone.levels.{index}.blocks"}
            for index, stage in enumerate(architecture.stages)
        ]
        self.norm: nn.Module = nn.BatchNorm2d(self.num_features) if num_classes else nn.Identity()
        self.head = ClassifierHead(self.num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        if img_size is not None:
            self.set_input_size(img_size, window_size)

    def set_input_size(self, img_size: int | Side, window_size: Window | None = None) -> tuple[StageWindow, ...]:
        """Choose the windows for pictures of this size; see `Backbone.set_input_size`."""
        side = (img_size, img_size) if isinstance(img_size, int) else (img_size[-2], img_size[-1])
        return self.backbone.set_input_size(side, window_size)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures [B, in_chans, H, W] to logits [B, num_classes]."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Normalised pictures [B, in_chans, H, W] to a map [B, num_features, ceil(H/stride), ceil(W/stride)]."""
        spatial: Tensor = self.backbone(x).spatial
        return spatial

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """A map [B, num_features, h, w] to logits, or with `pre_logits` to what the last layer sees."""
        logits: Tensor = self.head(self.norm(x), pre_logits=pre_logits)
        return logits

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps of stages [B, width, ceil(H/stride), ceil(W/stride)], with the final features before them.

        Args:
            x: normalised pictures [B, in_chans, H, W].
            indices: of the stages; the last n for a number, all for None.
            norm: ignored, for the stages have no norm of their own.
            stop_early: compute no stage beyond the last one asked for; with `intermediates_only`.
            output_fmt: only "NCHW".
            intermediates_only: leave the final features out.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"maps come as NCHW, not {output_fmt}")
        take, last = feature_take_indices(len(self.backbone.levels), indices)
        maps, side = self.backbone.maps(x, last + 1 if stop_early and intermediates_only else None), side_of(x)
        intermediates = [crop_to(maps[index], side, self.feature_info[index]["reduction"]) for index in take]
        return intermediates if intermediates_only else (self.backbone.spatial(maps, side), intermediates)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove what `forward_intermediates` does not need for these stages, and return their indices."""
        take: list[int]
        take, last = feature_take_indices(len(self.backbone.levels), indices)
        self.backbone.prune(last + 1)
        self.num_features = self.head_hidden_size = self.embed_dim = self.backbone.spatial_width
        self.feature_info = self.feature_info[: last + 1]
        if prune_norm or prune_head:
            self.norm = nn.Identity()
        if prune_head:
            self.head = ClassifierHead(self.num_features, 0, pool_type="")
        return take

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        classifier: nn.Module = self.head.fc
        return classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier and norm for other classes; none of either for 0."""
        self.num_classes = num_classes
        like = next(self.backbone.parameters())
        norm = nn.BatchNorm2d(self.num_features) if num_classes else nn.Identity()
        self.norm = norm.to(like.device, like.dtype).train(self.training)
        self.head.reset(num_classes, global_pool)
        self.head.to(like.device, like.dtype).train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute stages anew in the backward pass instead of keeping what is inside them."""
        self.backbone.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Names of the weights that should not decay: those of the position bias networks."""
        return {name for name, _ in self.named_parameters() if ".position." in name}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns of layer groups from the pictures up, for layer-wise learning rates."""
        if coarse:
            blocks: list[tuple[str, tuple[int, ...] | None]] = [(r"^backbone\.levels\.(\d+)", None)]
        else:
            blocks = [
                (r"^backbone\.levels\.(\d+)\.blocks(?:\.blocks)?\.(\d+)", None),
                (r"^backbone\.levels\.(\d+)\.blocks", (0,)),  # a C2f is one group: its first layer feeds its last
                (r"^backbone\.levels\.(\d+)\.down", (9_999,)),
            ]
        return {"stem": r"^backbone\.stem", "blocks": [*blocks, (r"^backbone\.neck", (10_000,)), (r"^norm", (99_999,))]}


def filter_checkpoint(state: Mapping[str, Any], model: ERadio) -> dict[str, Tensor]:
    """What timm loads: our own weights, those of a student of a study (without its heads), or official ones."""
    if is_official(state):
        official = load_official(state)
        built = next(stage.bias_window for stage in official.architecture.stages if isinstance(stage, AttentionStage))
        if built is not None:
            model.backbone.set_bias_window(built)  # part of what the weights compute, as windows are not
        loaded = official.state_dict()
        last = {name.replace("head.", "head.fc."): value for name, value in official_classifier(state).items()}
        return {**{f"backbone.{name}": value for name, value in loaded.items()}, **(last if model.num_classes else {})}
    own = {name: value for name, value in state.items() if not name.startswith("heads.")}
    stem = f"{_UNSHUFFLED}.weight"
    if model.backbone.architecture.stem.kind == "unshuffle" and stem in own:
        own[stem] = _for_channels(own[stem], model.backbone.channels)
    return own


def _for_channels(weight: Tensor, channels: int) -> Tensor:
    """The stem's weight [O, 3 * 16, k, k] after 4x4 blocks of RGB, for pictures of other channels, as timm does."""
    outputs, inputs, *kernel = weight.shape
    colours = weight.reshape(outputs, inputs // 16, 16, *kernel)
    if channels == inputs // 16:
        return weight
    if channels == 1:
        return colours.sum(dim=1)
    repeated = colours.repeat(1, -(-channels // 3), 1, 1, 1)[:, :channels]
    return (repeated * (3 / channels)).flatten(1, 2)


def first_convolution(architecture: Architecture) -> str | None:
    """The state dict's name of the convolution that sees the pictures; None where it sees blocks of them."""
    return "backbone.stem.0.0" if architecture.stem.kind == "conv" else None


def pretrained_config(architecture: Architecture) -> dict[str, Any]:
    """timm's description of inputs and head."""
    side = _PRETRAINING_SIDE // architecture.output_stride()
    return {
        "input_size": (3, _PRETRAINING_SIDE, _PRETRAINING_SIDE),
        "pool_size": (side, side),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": CLIP_MEAN,
        "std": CLIP_DEVIATION,
        "first_conv": first_convolution(architecture),
        "classifier": "head.fc",
        "paper_ids": "arXiv:2312.06709",
    }


def _create(name: str, pretrained: bool, architecture: Architecture, **options: Any) -> nn.Module:
    if not options.get("pretrained_cfg") and name == CUSTOM:
        options["pretrained_cfg"] = pretrained_config(architecture)
    model: nn.Module = build_model_with_cfg(
        ERadio,
        name,
        pretrained,
        architecture=architecture,
        feature_cfg={"out_indices": tuple(range(len(architecture.stages))), "feature_cls": "getter"},
        pretrained_filter_fn=filter_checkpoint,
        **options,
    )
    return model


def _entry(name: str, architecture: Architecture) -> Callable[..., nn.Module]:
    def create(pretrained: bool = False, **options: Any) -> nn.Module:
        return _create(name, pretrained, architecture, **options)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"{name} of the zoo, as a timm model."
    return create


def parse_architecture(architecture: Architecture | Mapping[str, Any] | None) -> Architecture:
    """An architecture from itself or its plain data.

    Raises:
        EradioError: there is none, or the data describe none.
    """
    if architecture is None:
        raise EradioError(f"timm's model '{CUSTOM}' needs the argument 'architecture'; give an architecture's data.")
    return architecture if isinstance(architecture, Architecture) else Architecture.parse(architecture, "The argument")


def eradio_custom(pretrained: bool = False, architecture: Any = None, **options: Any) -> nn.Module:
    """Any architecture as a timm model."""
    return _create(CUSTOM, pretrained, parse_architecture(architecture), **options)


def _register() -> None:
    """Tell timm every named network of ours, by putting an entry point of its name into this module."""
    module = sys.modules[__name__]
    ours = {name: network for name, network in zoo().items() if isinstance(network, Architecture)}
    module.default_cfgs = generate_default_cfgs(  # type: ignore[attr-defined]
        {name: pretrained_config(network) for name, network in ours.items()} | {CUSTOM: {}}
    )
    for name, network in ours.items():
        create = _entry(name, network)
        setattr(module, name, create)
        register_model(create)
    register_model(eradio_custom)


_register()
