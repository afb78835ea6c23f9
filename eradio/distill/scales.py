"""What a teacher's features are like over the first training pictures, and how the recipe brings them to one scale."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from eradio.distill.balance import Balanced, Moments
from eradio.distill.losses import dispersion_of
from eradio.distill.recipe import Balance, BalanceKind
from eradio.errors import EradioError
from eradio.features import Features
from eradio.tensors import write_tensors

_TENSORS = ("mean", "there", "back")


@dataclass(frozen=True)
class Scale:
    """One teacher's: how its summaries and maps are balanced, and how widely its summaries are spread."""

    summary: Balanced | None
    spatial: Balanced | None
    dispersion: float
    """Of its summaries as the loss sees them, see `dispersion_of`; 1 where the teacher has none."""

    def digest(self) -> str:
        """Of all numbers of it: what was balanced by another scale is something else."""
        found = hashlib.sha256(str(self.dispersion).encode())
        for one in (self.summary, self.spatial):
            for name in _TENSORS if one is not None else ():
                found.update(getattr(one, name).numpy().tobytes())
        return found.hexdigest()[:16]

    def balance(self, answer: Features) -> Features:
        """The teacher's answer as the loss sees it."""
        summary, spatial = answer
        if self.summary is not None and summary is not None:
            summary = self.summary.balance(summary)
        if self.spatial is not None:
            spatial = self.spatial.balance(spatial.movedim(1, -1)).movedim(-1, 1)
        return Features(summary, spatial)

    def fold(self, summary: nn.Linear | None, spatial: nn.Linear, *, back: bool = False) -> None:
        """Let heads that learnt balanced features answer in the teacher's own scale, or back again."""
        for balanced, layer in ((self.summary, summary), (self.spatial, spatial)):
            if balanced is not None and layer is not None:
                balanced.unfold(layer) if back else balanced.fold(layer)


Scales = Mapping[str, Scale]
"""By the teacher's name."""


def measured_scales(balance: Balance, answers: Iterable[dict[str, Features]]) -> dict[str, Scale]:
    """Scales of all teachers from what they answer for some batches.

    Raises:
        EradioError: a balance does not exist for a teacher; the text names it.
    """
    summaries: dict[str, list[Tensor]] = {}
    maps: dict[str, Moments] = {}
    for answer in answers:
        for name, features in answer.items():
            if features.summary is not None:
                summaries.setdefault(name, []).append(features.summary.cpu())
            width = features.spatial.shape[1]
            maps.setdefault(name, Moments(width)).add(features.spatial.movedim(1, -1).reshape(-1, width))
    found = {}
    for name, moments in maps.items():
        known = torch.cat(summaries[name]) if name in summaries else None
        try:
            summary = None if known is None else _balanced(balance.summary, _moments(known))
            spatial = _balanced(balance.spatial, moments)
        except EradioError as error:
            raise EradioError(f"Teacher '{name}': {error}") from None
        compared = known if known is None or summary is None else summary.balance(known)
        found[name] = Scale(summary, spatial, 1.0 if compared is None else dispersion_of(compared))
    return found


def write_scales(path: Path, scales: Scales) -> None:
    """Keep scales as one safetensors file.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    flat = {f"{name}/dispersion": torch.tensor(scale.dispersion, dtype=torch.float64) for name, scale in scales.items()}
    for name, scale in scales.items():
        for part, one in (("summary", scale.summary), ("spatial", scale.spatial)):
            if one is not None:
                flat |= {f"{name}/{part}/{key}": getattr(one, key) for key in _TENSORS}
    write_tensors(path, flat)


def read_scales(path: Path) -> dict[str, Scale]:
    """What `write_scales` kept.

    Raises:
        EradioError: the file is damaged.
    """
    try:
        flat = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EradioError(f"The teachers' scales in {path} cannot be read ({error}). Remove the file.") from None

    def part(prefix: str) -> Balanced | None:
        return Balanced(*(flat[f"{prefix}/{key}"] for key in _TENSORS)) if f"{prefix}/mean" in flat else None

    names = [name.removesuffix("/dispersion") for name in flat if name.endswith("/dispersion")]
    return {
        name: Scale(part(f"{name}/summary"), part(f"{name}/spatial"), float(flat[f"{name}/dispersion"]))
        for name in names
    }


def _moments(vectors: Tensor) -> Moments:
    moments = Moments(vectors.shape[1])
    moments.add(vectors)
    return moments


def _balanced(kind: BalanceKind, moments: Moments) -> Balanced | None:
    return None if kind == "none" else Balanced.of(kind, moments)
