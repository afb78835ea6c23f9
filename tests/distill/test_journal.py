"""What a run tells: a CSV that goes on without gaps, and TensorBoard's files."""

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eradio.distill.journal import Journal

NAMES = ["clip/summary", "sam/spatial"]


def _tell(folder: Path, steps: range, every: int = 2) -> None:
    journal = Journal(folder, NAMES, every, steps.start - 1)
    for step in steps:
        journal.tell(step, 10.0 + step, {"clip/summary": float(step)})
    journal.close()


def test_a_run_that_goes_on_leaves_neither_gaps_nor_lines_told_twice(tmp_path: Path) -> None:
    _tell(tmp_path, range(1, 8))
    with (tmp_path / "losses.csv").open("a") as file:
        file.write("8,1")  # a line that a kill cut off
    _tell(tmp_path, range(5, 11))
    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10"]
    assert [row["clip/summary"] for row in rows] == ["2.0", "4.0", "6.0", "8.0", "10.0"]
    assert all(row["sam/spatial"] == "" for row in rows)


def test_tensorboard_reads_the_same(tmp_path: Path) -> None:
    _tell(tmp_path, range(1, 8))
    _tell(tmp_path, range(5, 11))
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {"loss", "clip/summary"}
    last = {event.step: event.value for event in board.Scalars("loss")}
    assert last == {2: 12.0, 4: 14.0, 6: 16.0, 8: 18.0, 10: 20.0}
