"""The Pareto chart: every network of a study by its throughput and its loss, with both fronts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eradio.analysis.labels import ABOVE, BELOW, place
from eradio.analysis.numbers import counted
from eradio.analysis.points import Point, front_of, plain, points
from eradio.analysis.style import BASELINES, CANDIDATES, GREY, INK, scale
from eradio.study.records import StudyRecords

FAMILIES = ("convolutional", "hybrid", "attention")


def pareto(run: StudyRecords) -> Figure:
    """Loss against throughput: candidates by family, baselines by family, and the front of each."""
    figure = Figure(figsize=(7.2, 4.7), layout="constrained")
    axes = figure.add_subplot()
    candidates, baselines = points(run, "candidate"), points(run, "baseline")
    everything = [*candidates, *baselines]
    axes.set_xlabel(f"Throughput (images/s; higher is better){_setting(everything)}")
    axes.set_ylabel("Validation distillation loss (lower is better)")
    if not everything:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no network was both measured and trained", ha="center", transform=axes.transAxes)
        return figure
    ours, theirs = front_of(candidates), front_of(baselines)
    _limits(axes, everything, [*ours, *theirs])
    _candidates(axes, candidates, ours)
    _baselines(axes, baselines)
    lines = [
        *_steps(axes, theirs, "baselines' front", color=GREY, linestyle=(0, (4, 2)), linewidth=1.2),
        *_steps(axes, ours, "searched front", color=INK, linestyle="-", linewidth=1.6),
    ]
    finalists = _finalists(axes, run, everything)
    figure.legend(loc="outside right upper", handlelength=1.8, labelspacing=0.6)
    seen = [(point.throughput.value, _shown(axes, point)) for point in everything]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed in pixels, so nothing may move any more
    taken = place(axes, [_text(axes, point) for point in ours], seen, color=INK, places=BELOW, lines=lines)
    others = [_text(axes, point) for point in finalists if point.role == "candidate" and point not in ours]
    taken = place(axes, others, seen, color=INK, places=ABOVE, lines=lines, taken=taken)
    names = [_text(axes, point) for point in theirs]
    place(axes, names, seen, color=GREY, places=ABOVE, lines=lines, taken=taken)
    return figure


def _limits(axes: Axes, everything: Sequence[Point], edges: Sequence[Point]) -> None:
    low = min(point.throughput.low for point in everything)
    high = max(point.throughput.high for point in everything)
    scale(axes, "x", low, high)
    if axes.get_xscale() == "log":
        axes.set_xlim(low / 1.15, high * 1.15)
    else:
        room = 0.08 * (high - low) or 0.1 * high
        axes.set_xlim(max(0.0, low - room), high + room)
    losses = [point.loss for point in everything]
    quarters = np.quantile(losses, [0.25, 0.75])
    # A few networks that learned nothing must not flatten the fronts: they are drawn at the upper edge.
    fence = max(float(quarters[1] + 3 * (quarters[1] - quarters[0])), *(point.loss for point in edges))
    top, bottom = min(max(losses), fence), min(losses)
    room = 0.08 * (top - bottom) or 0.1 * abs(top) or 1.0
    axes.set_ylim(bottom - room, top + room)
    beyond = sum(loss > top + room for loss in losses)
    if beyond:
        note = f"{counted(beyond, 'network')} with a higher loss at the upper edge"
        axes.set_title(note, loc="right", fontsize=7.5, color=GREY)


def _candidates(axes: Axes, candidates: Sequence[Point], edge: Sequence[Point]) -> None:
    present = {point.family for point in candidates}
    front = {point.number for point in edge}
    order = [name for name in FAMILIES if name in present] + sorted(present.difference(FAMILIES))
    for index, name in enumerate(order):
        marker, color = CANDIDATES[index % len(CANDIDATES)]
        for emphasised in (False, True):
            some = [point for point in candidates if point.family == name and (point.number in front) == emphasised]
            _bars(axes, some, color=color, alpha=0.9 if emphasised else 0.3)
            axes.plot(
                [point.throughput.value for point in some],
                [_shown(axes, point) for point in some],
                linestyle="none",
                marker=marker,
                markersize=6.5 if emphasised else 5,
                markerfacecolor=to_rgba(color, 1 if emphasised else 0.38),
                markeredgecolor=INK if emphasised else GREY,
                markeredgewidth=0.9 if emphasised else 0.6,
                label="_" if emphasised else f"candidate, {plain(name, 24)}",
                zorder=4 if emphasised else 2,
                clip_on=False,
            )


def _baselines(axes: Axes, baselines: Sequence[Point]) -> None:
    for index, name in enumerate(sorted({point.family for point in baselines})):
        some = [point for point in baselines if point.family == name]
        _bars(axes, some, color=GREY, alpha=0.9)
        axes.plot(
            [point.throughput.value for point in some],
            [_shown(axes, point) for point in some],
            linestyle="none",
            marker=BASELINES[index % len(BASELINES)],
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=GREY,
            markeredgewidth=1.1,
            label=f"baseline, {plain(name, 24)}",
            zorder=3,
            clip_on=False,
        )


def _bars(axes: Axes, some: Sequence[Point], *, color: str, alpha: float) -> None:
    heights = [_shown(axes, point) for point in some]
    lows, highs = [point.throughput.low for point in some], [point.throughput.high for point in some]
    axes.hlines(heights, lows, highs, color=color, alpha=alpha, linewidth=1.1, zorder=2)


def _steps(axes: Axes, edge: Sequence[Point], label: str, **line: Any) -> list[Line2D]:
    if not edge:
        return []
    # The edge of the dominated region: level from the left border, and up to the top at the fastest point.
    slowest_first = edge[::-1]
    rates = [
        axes.get_xlim()[0],
        *(point.throughput.value for point in slowest_first),
        edge[0].throughput.value,
    ]
    losses = [edge[-1].loss, *(point.loss for point in slowest_first), axes.get_ylim()[1]]
    return axes.step(rates, losses, where="pre", label=label, zorder=2.5, **line)


def _finalists(axes: Axes, run: StudyRecords, everything: Sequence[Point]) -> list[Point]:
    chosen = {(finalist.role, finalist.number) for finalist in run.finalists}
    some = [point for point in everything if (point.role, point.number) in chosen]
    if some:
        axes.plot(
            [point.throughput.value for point in some],
            [_shown(axes, point) for point in some],
            linestyle="none",
            marker="o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.1,
            label="finalist, trained longer",
            zorder=5,
        )
    return some


def _shown(axes: Axes, point: Point) -> float:
    return min(point.loss, axes.get_ylim()[1])


def _text(axes: Axes, point: Point) -> tuple[str, float, float]:
    return point.label, point.throughput.value, _shown(axes, point)


def _setting(some: Sequence[Point]) -> str:
    if not some:
        return ""
    target = some[0].measurement.target
    threads = f", {target.threads} thread{'' if target.threads == 1 else 's'}"
    return f"\n{target.engine} {target.precision}, batch {target.batch}, {target.resolution} px{threads}"
