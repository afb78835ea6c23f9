"""What lies in a teacher's folder, and reading weights without running anybody's code."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.tensors import write_tensors

WEIGHTS = "model.safetensors"
MERGES = "merges.txt.gz"
# The name is open_clip's, so that `open_clip.create_model("local-dir:FOLDER")` opens the CLIP teacher's folder too.
_CONFIG = {"clip": "open_clip_config.json", "dino": "config.json", "sam": "config.json", "student": "architecture.json"}


def config_path(folder: Path, kind: str) -> Path:
    """Where a folder keeps its model's configuration."""
    return folder / _CONFIG[kind]


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """The configuration of the model in a folder.

    Raises:
        EradioError: the folder has none.
    """
    path = config_path(folder, kind)
    if not path.is_file():
        raise EradioError(
            f"The folder {folder} holds no {kind} teacher: {path.name} is missing. "
            f"Make one with 'eradio teachers train {kind}', or name a checkpoint file."
        )
    config: dict[str, Any] = read_json(path)
    return config


def weights_file(path: Path, kind: str) -> Path:
    """The file with the weights: in a folder, or the path itself.

    Raises:
        EradioError: there is no such file.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise EradioError(f"The {kind} teacher's weights are missing: there is no file {file}. Check 'weights'.")
    return file


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or PyTorch file, in single precision; nothing else is ever unpickled.

    Raises:
        EradioError: the file is neither, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise EradioError(
            f"{path} is damaged or holds more than plain tensors. Give a .safetensors file or a plain state dict."
        ) from None
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def write_weights(folder: Path, state: dict[str, Tensor]) -> None:
    """Store the tensors in half precision as the folder's weights, atomically."""
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    write_tensors(folder / WEIGHTS, half)


def write_config(folder: Path, kind: str, config: dict[str, Any]) -> None:
    """Store the configuration of a folder's model."""
    write_json(config_path(folder, kind), config)


def identity(weights: Path, configuration: str) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a weights file's bytes and its configuration's text."""
    with weights.open("rb") as handle:
        hashed = hashlib.file_digest(handle, "sha256")
    hashed.update(configuration.encode())
    return hashed.hexdigest()[:16]
