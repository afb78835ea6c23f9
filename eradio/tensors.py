"""Writing tensors through memory: torch's and safetensors' own file writers hide why the system refused a write."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from eradio.files import write_atomically


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write named tensors as one safetensors file, atomically.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=metadata)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, nested, in torch's format, atomically.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    content = io.BytesIO()
    torch.save(state, content)
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))
