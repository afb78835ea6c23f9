"""How the networks learned: training loss by step, for the search, the baselines and the finalists."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eradio.analysis.points import Point, called, front_of, plain, points
from eradio.analysis.style import INK, scale
from eradio.study.records import CurvePoint, Score, StudyRecords

Floats: TypeAlias = NDArray[np.float64]

_SHOWN = 150
"""Points of a curve at most."""
MOST_FAINT = 300
"""Lines without a name in one panel at most; more of them are one grey area."""
_LEADER = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Line:
    """One network's curve, with what its validation gave at the end; the faint ones carry no label."""

    label: str
    curve: tuple[CurvePoint, ...]
    score: Score | None
    emphasised: bool


def curves(run: StudyRecords) -> Figure:
    """Small multiples with one loss axis: the searched front, the baselines' front, and the finalists."""
    panels = [(name, some) for name, some in _panels(run) if any(line.curve for line in some)]
    figure = Figure(figsize=(max(1, len(panels)) * 3.2 + 0.6, 3.6), layout="constrained")
    if not panels:
        figure.text(0.5, 0.5, "no network left a training curve", ha="center")
        return figure
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    losses = [point.loss for _, some in panels for line in some for point in line.curve]
    colors = [_panel(axes, name, some) for axes, (name, some) in zip(grid, panels, strict=True)]
    scale(grid[0], "y", min(losses), max(losses))
    for axes, (_, some), palette in zip(grid, panels, colors, strict=True):
        _name(axes, [line for line in some if line.emphasised], palette)
    grid[0].set_ylabel("Distillation loss (lower is better)")
    return figure


def _panels(run: StudyRecords) -> list[tuple[str, list[Line]]]:
    ours, theirs = points(run, "candidate"), points(run, "baseline")
    return [
        ("candidates, the front named", _lines(run, ours)),
        ("baselines, the front named", _lines(run, theirs)),
        (
            "finalists, trained longer",
            [
                Line(called(one.role, one.number, one.name), one.curve, one.score, emphasised=True)
                for one in run.finalists
            ],
        ),
    ]


def _lines(run: StudyRecords, some: Sequence[Point]) -> list[Line]:
    edge = front_of(some)
    named = {point.number for point in edge}
    trials = {(trial.role, trial.number): trial for trial in run.trials}
    order = [*edge, *(point for point in some if point.number not in named)]
    found = [(point, trials[point.role, point.number]) for point in order]
    return [
        Line(plain(point.label, 22), trial.curve, trial.score, emphasised=index < len(edge))
        for index, (point, trial) in enumerate(found)
    ]


def _panel(axes: Axes, name: str, some: Sequence[Line]) -> Floats:
    shown = [line for line in some if line.emphasised]
    faint = [line for line in some if not line.emphasised]
    # In the order of the search, so that every so many of them stand for all.
    for line in faint[:: -(-len(faint) // MOST_FAINT) or 1]:
        axes.plot(*_track(line), color="#949494", linewidth=0.5, zorder=1)
    colors = matplotlib.colormaps["cividis"](np.linspace(0, 0.75, len(shown)))
    for line, color, dash in zip(shown, colors, cycle(_DASHES), strict=False):
        axes.plot(*_track(line), color=color, linestyle=dash, linewidth=1.2, zorder=2)
        if line.score is not None:
            dot = {"marker": "o", "markersize": 4.5, "markerfacecolor": color, "markeredgecolor": INK}
            axes.plot(line.score.steps, line.score.loss, markeredgewidth=0.6, zorder=3, clip_on=False, **dot)
    axes.margins(x=0.03)
    axes.set_xlabel(f"Step ({name})")
    return colors


def _name(axes: Axes, shown: Sequence[Line], colors: Floats) -> None:
    """Names at the right border, each as near its curve's end as its neighbours allow."""
    ends = [_end(line) for line in shown]
    if not ends:
        return
    # Reading the limits applies the pending autoscale, without which the transforms are those of an empty plot.
    axes.get_xlim(), axes.get_ylim()
    heights = (axes.transScale + axes.transLimits).transform(ends)[:, 1]
    order = np.argsort(heights)
    placed = spread(heights[order], gap=min(0.055, 1 / len(ends)))
    for index, height in zip(order, placed, strict=True):
        axes.annotate(
            shown[index].label,
            ends[index],
            xytext=(1.05, height),
            textcoords="axes fraction",
            fontsize=8,
            color=INK,
            verticalalignment="center",
            arrowprops=_LEADER | {"color": colors[index]},
        )


def spread(heights: Floats, gap: float) -> Floats:
    """Move ascending heights apart until neighbours are at least `gap` apart, keeping their order.

    Args:
        heights: [n] ascending.
        gap: least distance between neighbours.

    Returns:
        [n] ascending heights, the nearest such in the sum of squares.
    """
    steps = gap * np.arange(len(heights))
    blocks: list[list[float]] = []
    # Pool adjacent violators: what must not cross moves together to its mean.
    for height in heights - steps:
        blocks.append([float(height)])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    means = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    return np.asarray(means + steps)


def _end(line: Line) -> tuple[float, float]:
    return (line.score.steps, line.score.loss) if line.score else (line.curve[-1].step, line.curve[-1].loss)


def _track(line: Line) -> tuple[list[float], list[float]]:
    """Steps and losses, averaged over stretches of neighbours where there are more than a line can show."""
    if len(line.curve) <= _SHOWN:
        return [float(point.step) for point in line.curve], [point.loss for point in line.curve]
    stretches = np.array_split(np.arange(len(line.curve)), min(len(line.curve), _SHOWN) or 1)
    steps, losses = (
        [float(np.mean([getattr(line.curve[i], name) for i in stretch])) for stretch in stretches if len(stretch)]
        for name in ("step", "loss")
    )
    return steps, losses
