"""Which network and which weights a user means: a trial's folder, official weights, or a name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from eradio.errors import EradioError
from eradio.files import read_json
from eradio.search_space import Architecture, Backbone, Network, build, load_official, named, parse_network
from eradio.search_space.zoo import zoo

_WEIGHTS = "student.safetensors"
_BODY = "backbone."


@dataclass(frozen=True)
class Trained:
    """A network with its weights."""

    name: str
    network: Network
    module: nn.Module
    source: str
    """Where the weights come from, in words."""
    window: str = "fit"
    """Windows it is meant to have, as `choose_windows` takes them: a student's are those it was taught with."""


def find_trained(checkpoint: str) -> Trained:
    """The network behind a checkpoint.

    Args:
        checkpoint: the folder of a trial or finalist, a file with the weights of an official E-RADIO, or what
            `eradio.search_space.named` takes, with random weights.

    Raises:
        EradioError: there is no such thing, or it holds other weights.
    """
    path = Path(checkpoint)
    if path.is_dir():
        return _from_folder(path)
    if path.suffix in (".safetensors", ".pt", ".pth", ".ckpt", ".tar"):
        backbone = load_official(_read(path))
        return Trained(path.stem, backbone.architecture, backbone, f"the official weights in {path.name}")
    window = "own" if path.suffix else "fit"
    return Trained(path.stem, named(checkpoint), build(named(checkpoint)), "random weights", window)


def own_name(network: Network) -> str | None:
    """What our zoo calls this architecture, if it has a name there."""
    return next((name for name, other in zoo().items() if isinstance(other, Architecture) and other == network), None)


def _from_folder(folder: Path) -> Trained:
    described, weights = folder / "architecture.json", folder / _WEIGHTS
    for file in (described, weights):
        if not file.is_file():
            raise EradioError(
                f"{folder} holds no {file.name}. Give the folder of a trial that has completed, such as "
                "runs/default/candidates/0003, or of a finalist."
            )
    network = parse_network(read_json(described), str(described))
    module = build(network)
    student = _read(weights)
    body = {name.removeprefix(_BODY): value for name, value in student.items() if name.startswith(_BODY)}
    try:
        module.load_state_dict(body)
    except RuntimeError:
        raise EradioError(f"The weights in {weights} are not those of the network in {described}.") from None
    return Trained(folder.resolve().name, network, module.eval(), f"the student in {folder}", "own")


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from None
    except SafetensorError as error:
        raise EradioError(f"{path} is no safetensors file ({error}).") from None
    except Exception as error:  # unpickling refuses a strange file with anything
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EradioError(f"{path} cannot be read as a checkpoint of plain tensors ({why[:120]}).") from None
    if not isinstance(state, dict):
        raise EradioError(f"{path} holds a {type(state).__name__}, not a state dict.")
    return state


def backbone_of(trained: Trained) -> Backbone:
    """The module, if it is a network of ours.

    Raises:
        EradioError: it is one of timm's.
    """
    if not isinstance(trained.module, Backbone):
        raise EradioError(f"{trained.name} is a network of timm's own; export it with timm, or to onnx or torch here.")
    return trained.module
