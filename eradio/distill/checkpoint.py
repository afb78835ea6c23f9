"""Checkpoints of one training run: the last one of each rung, and the trunk that longer rungs continue."""

import pickle
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eradio.errors import EradioError, PassingError, memory_was_short
from eradio.tensors import write_state

_SECONDS_BETWEEN = 5.0


class UnreadableError(EradioError):
    """A checkpoint cannot be read, whose path is `path`."""

    def __init__(self, path: Path, why: Exception) -> None:
        super().__init__(f"The checkpoint {path} cannot be read ({why}). Remove it to start over.")
        self.path = path


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on: the rung's length, the steps done, weights, optimiser
    state, the weights' moving average, curve and unreadable files."""

    steps: int
    step: int
    student: dict[str, Tensor]
    optimiser: dict[str, Any]
    average: dict[str, Tensor] | None
    curve: tuple[tuple[int, float, float], ...]
    unreadable: tuple[str, ...]


class CheckpointFolder:
    """The checkpoints of one training identity; each appears whole, or not at all.

    Args:
        folder: of the training.
        seconds_between: two saves, at least.
        writes: whether this process keeps anything; of several that train one student only the first does.
    """

    def __init__(self, folder: Path, seconds_between: float = _SECONDS_BETWEEN, *, writes: bool = True) -> None:
        self._folder = folder
        self._between = seconds_between
        self._writes = writes
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether so much time has gone by since the last save that another is worth its cost."""
        return self._writes and time.monotonic() - self._last >= self._between

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the rung's last checkpoint.

        Raises:
            EradioError: the disk is full or cannot be written.
        """
        if self._writes:
            write_state(self._folder / f"rung-{checkpoint.steps}.pt", vars(checkpoint))
        self._last = time.monotonic()

    def save_trunk(self, checkpoint: Checkpoint) -> None:
        """Keep the state at the start of the decay, for longer rungs."""
        if self._writes:
            write_state(self._folder / f"trunk-{checkpoint.step}.pt", vars(checkpoint))

    def latest(self, steps: int, trunk: int) -> Checkpoint | None:
        """Where to go on for a rung of `steps` whose decay starts at `trunk`: its own checkpoint, or a trunk.

        Raises:
            UnreadableError: that one cannot be read.
        """
        own = self._folder / f"rung-{steps}.pt"
        if own.exists():
            return _read(own)
        trunks = {int(path.stem.removeprefix("trunk-")): path for path in self._folder.glob("trunk-*.pt")}
        usable = [step for step in trunks if step <= trunk]
        return _read(trunks[max(usable)]) if usable else None

    def drop(self, steps: int) -> None:
        """Remove the checkpoint of a rung that has ended; its trunk stays for longer rungs."""
        (self._folder / f"rung-{steps}.pt").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all, of a training that is not gone on with."""
        for path in (*self._folder.glob("rung-*.pt"), *self._folder.glob("trunk-*.pt")):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Checkpoint:
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise PassingError(f"Cannot read {path}: {error.strerror or error}. Check the disk.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError) as error:
        if memory_was_short(error):
            raise
        raise UnreadableError(path, error) from error
