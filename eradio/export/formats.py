"""One function a format: the deploy form for runtimes, the training form for timm and the Hugging Face hub."""

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import timm
import torch
from timm.models._hub import save_config_for_hf
from torch import nn

from eradio.errors import EradioError
from eradio.export.trained import Trained, backbone_of, own_name
from eradio.features import Features
from eradio.files import write_atomically
from eradio.onnx_file import write_onnx
from eradio.search_space import Architecture, Backbone, choose_windows, deploy, describe, windows_at
from eradio.search_space.timm_model import CUSTOM
from eradio.search_space.windows import windows_in_words
from eradio.tensors import write_tensors
from eradio.tracing import traced

_LARGEST_ERROR = 1e-4
"""Of ONNX Runtime against eager, over the deviation of the output."""


def export(trained: Trained, to: str, out: Path, resolution: int, window: str | None = None) -> tuple[list[Path], str]:
    """Write a network in one format and return the files, and its windows in words.

    Args:
        trained: the network and its weights; left as they are.
        to: one of `FORMATS`.
        out: a folder, created if missing.
        resolution: side of the pictures it is for, in pixels; for timm and hf the default of their configuration.
        window: as in `choose_windows`; what the network is meant to have if None.

    Raises:
        EradioError: there is no such format, a library is missing, or the network does not allow it.
    """
    if resolution < 1:
        raise EradioError(f"--resolution must be at least 1, not {resolution}.")
    if to not in FORMATS:
        raise EradioError(f"There is no export format '{to}'. Choose one of {', '.join(FORMATS)}.")
    side, words = (resolution, resolution), ""
    network = trained.network
    if isinstance(network, Architecture):
        network = choose_windows(network, side, window or trained.window)
        module: nn.Module = Backbone(network)
        module.load_state_dict(trained.module.state_dict())
        words = windows_in_words(windows_at(network, side))
    elif window is not None:
        raise EradioError(f"--window is for architectures of ours; {trained.name} is timm's, with options of its own.")
    else:
        module = copy.deepcopy(trained.module)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EradioError(f"Cannot write {out}: {error.strerror}. Choose another folder with --out.") from None
    return FORMATS[to](
        replace(trained, network=network, module=module.eval().requires_grad_(False)), out, resolution
    ), words


def _onnx(trained: Trained, out: Path, resolution: int) -> list[Path]:
    """ONNX of the deploy form, any batch: `pictures` [B, 3, R, R] in [0, 1] to `summary` and `spatial`."""
    module, pictures = _for_size(trained, resolution)
    path = out / f"{trained.name}.onnx"
    write_onnx(module, pictures, path, any_batch=True, outputs=Features._fields)
    _check_onnx(path, module, pictures)
    return sorted(out.glob(f"{trained.name}.onnx*"))


def _check_onnx(path: Path, module: nn.Module, pictures: torch.Tensor) -> None:
    """Compare with eager where ONNX Runtime is installed.

    Raises:
        EradioError: they differ; the file is removed.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = session.run(None, {"pictures": pictures.numpy()})
    with torch.inference_mode():
        wanted = module(pictures)
    for name, ours, theirs in zip(Features._fields, wanted, given, strict=True):
        error = float(np.abs(ours.numpy() - theirs).max() / ours.std())
        if not error <= _LARGEST_ERROR:
            path.unlink()
            raise EradioError(f"ONNX Runtime differs from eager by {error:.1g} of the deviation of '{name}'.")


def _program(trained: Trained, out: Path, resolution: int) -> list[Path]:
    """A torch.export program of the deploy form, any batch: pictures to (summary, spatial).

    `torch.export.load` reads it, with torch alone.
    """
    module, pictures = _for_size(trained, resolution)
    path = out / f"{trained.name}.pt2"
    program = traced(module, pictures, any_batch=True)

    def save(file: Path) -> None:
        with file.open("wb") as handle:
            torch.export.save(program, handle)

    write_atomically(path, save)
    return [path]


def _timm(trained: Trained, out: Path, resolution: int) -> list[Path]:
    """Weights and configuration that `timm.create_model("local-dir:OUT", pretrained=True)` loads."""
    backbone = backbone_of(trained)
    name = own_name(backbone.architecture)
    arguments = {} if name else {"architecture": backbone.architecture.model_dump(mode="json")}
    model = timm.create_model(name or CUSTOM, num_classes=0, **arguments)
    model.backbone.load_state_dict(backbone.state_dict())
    weights, config = out / "model.safetensors", out / "config.json"
    write_tensors(weights, model.state_dict())
    save_config_for_hf(
        model, str(config), model_args=arguments, data_config={"input_size": (3, resolution, resolution)}
    )
    return [weights, config]


def _hugging_face(trained: Trained, out: Path, resolution: int) -> list[Path]:
    """The same as for timm, with a model card."""
    files = _timm(trained, out, resolution)
    card = out / "README.md"
    text = _CARD.format(
        name=trained.name, words=describe(trained.network), source=trained.source, resolution=resolution
    )
    write_atomically(card, lambda file: file.write_text(text, encoding="utf-8"))
    return [*files, card]


FORMATS: dict[str, Callable[[Trained, Path, int], list[Path]]] = {
    "onnx": _onnx,
    "torch": _program,
    "timm": _timm,
    "hf": _hugging_face,
}


def _for_size(trained: Trained, resolution: int) -> tuple[nn.Module, torch.Tensor]:
    """What runs, and two pictures for it: the deploy form of a network of ours, one of timm's as it is."""
    module = trained.module
    if isinstance(module, Backbone):
        module = deploy(module, (resolution, resolution))
    return _Plain(module), torch.rand(2, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))


class _Plain(nn.Module):
    """Answers with a plain tuple, so that a program is read where eradio is not installed."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()
        self.eval()

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures [B, 3, R, R] to summary and spatial features."""
        summary, spatial = self.module(pictures)
        return summary, spatial


_CARD = """---
library_name: timm
tags: [image-feature-extraction, timm, eradio]
---

# {name}

{words}

A vision backbone made with eradio; its weights are {source}, under their own terms.
Preprocessing and default size ({resolution} pixels) are in `config.json`; its normalisation is that of CLIP.

```python
import eradio.search_space  # registers the network with timm
import timm

model = timm.create_model("local-dir:PATH-OF-THIS-FOLDER", pretrained=True).eval()
summary = model(pictures)                      # [B, C], the mean of the map
spatial = model.forward_features(pictures)     # [B, C, H / stride, W / stride]
```
"""
