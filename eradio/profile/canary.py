"""The reference network every throughput is a ratio to, and its stored rate."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from eradio.description import Description, digest_of
from eradio.files import read_json, write_json
from eradio.locks import locked
from eradio.profile.record import EPOCH, Reference, environment_digest
from eradio.profile.target import Target

VERSION = "canary-1"
"""Names this exact network. Any change to it, weights included, takes a new name."""

_WIDTHS = (32, 64, 128)
_HEADS = 4
_SEED = 20240131


class Canary(nn.Module):
    """Convolutions at strides 4, 8 and 16, then self-attention: a little of what candidates are made of.

    [B, 3, H, W] with sides of at least 16 to [B, 128]. Its weights are a pure function of a fixed seed.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _WIDTHS
        self.stem = nn.Conv2d(3, first, 7, stride=4, padding=3)
        self.first = nn.Conv2d(first, first, 3, padding=1)
        self.second = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(second, second, 3, padding=1, groups=second)
        self.third = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(third)
        self.qkv = nn.Linear(third, 3 * third)
        self.out = nn.Linear(third, third)
        random = np.random.Generator(np.random.PCG64(_SEED))
        with torch.no_grad():
            for parameter in self.parameters():
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
                drawn = random.standard_normal(tuple(parameter.shape)) / fan_in**0.5
                parameter.copy_(torch.from_numpy(drawn))
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, 128]."""
        x: Tensor = functional.gelu(self.stem(pictures))
        x = x + functional.gelu(self.first(x))
        x = functional.gelu(self.second(x))
        x = x + functional.gelu(self.depthwise(x))
        x = functional.gelu(self.third(x))
        tokens: Tensor = x.flatten(2).transpose(1, 2)
        batch, count, width = tokens.shape
        qkv = self.qkv(self.norm(tokens)).reshape(batch, count, 3, _HEADS, width // _HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        return tokens.mean(1)


class _Store(Description):
    references: dict[str, Reference] = Field(default_factory=dict)


def stored_reference(target: Target, folder: Path) -> Reference | None:
    """The canary's stored rate on this target in this environment, if `reference_for` has one.

    Raises:
        EradioError: the stored file cannot be read, or holds something else.
    """
    return _read(folder / "canary.json").references.get(target_key(target))


def reference_for(target: Target, folder: Path, calibrate: Callable[[], Reference]) -> Reference:
    """The canary's stored rate on this target in this environment; calibrated and stored the first time.

    The rate is only a unit: calibrating it once and for all is what lets the drift between two measurements
    cancel. One file holds all rates of a folder; a lock keeps two processes from calibrating at once.

    Args:
        target: its engine, precision, batch, resolution and threads count; its protocol does not.
        folder: where `canary.json` lives.
        calibrate: measures the rate; called at most once.

    Raises:
        EradioError: the stored file cannot be read or written, or holds something else.
    """
    key, path = target_key(target), folder / "canary.json"
    with locked(folder / "canary.lock", timeout=120.0):
        store = _read(path)
        if key not in store.references:
            store = _Store(references={**store.references, key: calibrate()})
            write_json(path, store.model_dump(mode="json"))
        return store.references[key]


def target_key(target: Target) -> str:
    """Names a target in this environment, for what is stored of the canary on it; its protocol does not matter."""
    return digest_of(
        {
            "canary": VERSION,
            "epoch": EPOCH,
            "environment": environment_digest(target),
            "target": target.model_dump(mode="json", exclude={"protocol"}),
        }
    )


def _read(path: Path) -> _Store:
    return _Store.parse(read_json(path), str(path)) if path.exists() else _Store()
