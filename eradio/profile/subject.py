"""What is measured: a network with a name, a digest and weights of some kind."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from eradio.description import digest_of
from eradio.search_space import Architecture, Network, build, windows_at
from eradio.search_space.windows import StageWindow


@dataclass(frozen=True)
class Subject:
    """A module, or the ONNX file it left as."""

    name: str
    digest: str
    """Of its architecture: equal digests mean equal speed."""
    source: str
    """Where its weights come from, in words."""
    module: nn.Module | None = None
    """[B, 3, H, W] pictures in [0, 1] to tensors, in eval mode; None for an ONNX file."""
    onnx: Path | None = None
    windows: tuple[StageWindow, ...] = ()
    """Attention windows at the resolution in question, of a network of ours."""


def subject_of(name: str, network: Network, resolution: int, module: nn.Module | None = None) -> Subject:
    """A network by its description.

    Args:
        name: what tables call it.
        network: its windows are taken as they are.
        resolution: side of the pictures, in pixels.
        module: with weights of its own; random ones are drawn if None.
    """
    return Subject(
        name=name,
        digest=network.digest(),
        source="random weights" if module is None else "its own weights",
        module=build(network).eval() if module is None else module,
        windows=windows_at(network, (resolution, resolution)) if isinstance(network, Architecture) else (),
    )


def shape_digest(module: nn.Module) -> str:
    """Digest of a module that has no description: its classes, and the shapes of what it holds."""
    classes = [f"{name}:{type(part).__qualname__}:{part.extra_repr()}" for name, part in module.named_modules()]
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    return digest_of({"classes": classes, "shapes": shapes})
