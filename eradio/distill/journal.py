"""What a run tells while it goes on: lines of CSV, and TensorBoard's files where that is installed."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eradio.files import write_atomically

_COLUMNS = ("step", "loss")


class Journal:
    """Losses by step. What a run that was killed had written beyond its last checkpoint is taken out again.

    Args:
        folder: of the run.
        names: of the losses.
        every: steps between two lines.
        after: the step that the run goes on from.
    """

    def __init__(self, folder: Path, names: list[str], every: int, after: int) -> None:
        self._path = folder / "losses.csv"
        self._names = names
        self._every = every
        kept = _rows(self._path, after) if self._path.exists() else []
        write_atomically(self._path, lambda path: _write(path, [*_COLUMNS, *names], kept))
        self._board = _board(folder / "tensorboard", after)

    def tell(self, step: int, loss: float, losses: Mapping[str, float]) -> None:
        """Note a step, if it is one of those."""
        if step % self._every:
            return
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([step, loss, *(losses.get(name, "") for name in self._names)])
        if self._board is not None:
            self._board.add_scalar("loss", loss, step)
            for name, value in losses.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is not yet written."""
        if self._board is not None:
            self._board.close()


def _rows(path: Path, after: int) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in list(csv.reader(file))[1:] if row and row[0].isdigit() and int(row[0]) <= after]


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def _board(folder: Path, after: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=after + 1)
