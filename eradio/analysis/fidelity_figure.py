"""Fidelity of each head by resolution: a table, a CSV file, and a picture that shows mode switching."""

import csv
import io
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from eradio.analysis.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, drawn, saver, scale
from eradio.distill.fidelity import Fidelity
from eradio.files import write_atomically

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)


def write_fidelity(found: Sequence[Fidelity], folder: Path) -> list[Path]:
    """Write fidelity.csv, fidelity.png and fidelity.svg.

    Raises:
        MachineError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"fidelity.csv": _csv(found)}
    files |= {f"fidelity.{form}": drawn(lambda: fidelity_figure(found), form) for form in ("png", "svg")}
    for name, content in files.items():
        write_atomically(folder / name, saver(content))
    return [folder / name for name in files]


def fidelity_table(found: Sequence[Fidelity]) -> Table:
    """Heads by resolutions."""
    sides = sorted({one.side for one in found})
    table = Table(title="Fidelity: the teacher's variance over the squared error (1 is its mean, more is better)")
    table.add_column("head")
    for side in sides:
        table.add_column(f"{side} px", justify="right")
    values = {(one.head, one.side): one.value for one in found}
    for head in dict.fromkeys(one.head for one in found):
        table.add_row(head, *(f"{values[head, side]:.2f}" for side in sides))
    return table


def fidelity_figure(found: Sequence[Fidelity]) -> Figure:
    """One line a head: maps solid, summaries dashed, a teacher's two in one colour."""
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    teachers = dict(zip(dict.fromkeys(one.head.rpartition("/")[0] for one in found), cycle(_COLOURS)))
    sides = sorted({one.side for one in found})
    for head in dict.fromkeys(one.head for one in found):
        teacher, _, part = head.rpartition("/")
        own = {one.side: one.value for one in found if one.head == head}
        look: dict[str, Any] = (
            {"linestyle": "--", "marker": "o", "markerfacecolor": "white"} if part == "summary" else {"marker": "s"}
        )
        axes.plot(sides, [own[side] for side in sides], color=teachers[teacher], label=head, markersize=4, **look)
    axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.annotate("the teacher's mean", (sides[0], 1.0), color=GREY, fontsize=8, va="top")
    scale(axes, "y", min(1.0, *(one.value for one in found)), max(one.value for one in found))
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.set_xlabel("Side of the student's pictures, pixels")
    axes.set_ylabel("Fidelity (higher is better)")
    axes.legend()
    return figure


def _csv(found: Sequence[Fidelity]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["head", "side", "fidelity"])
    rows.writerows([one.head, one.side, one.value] for one in found)
    return text.getvalue().encode()
