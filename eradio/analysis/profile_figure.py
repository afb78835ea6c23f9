"""A profile as one picture: throughputs with their intervals, where the time goes, and the roofline."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eradio.analysis.points import plain
from eradio.analysis.style import BLUE, CANDIDATES, GREEN, GREY, INK, ORANGE, PURPLE, RED, drawn, saver, scale
from eradio.errors import EradioError
from eradio.files import write_atomically
from eradio.profile import Profile, Profiled

_PARTS = (BLUE, ORANGE, GREEN, PURPLE, RED, "#56B4E9", "#F0E442", GREY)


def draw_profile(profile: Profile, path: Path) -> None:
    """Write the picture; the ending chooses PNG or SVG.

    Raises:
        EradioError: the ending is another, or the file cannot be written.
    """
    check_picture(path)
    form = path.suffix.removeprefix(".").lower()
    write_atomically(path, saver(drawn(lambda: profile_figure(profile), form)))


def check_picture(path: Path) -> None:
    """Refuse a path before anything is measured for it.

    Raises:
        EradioError: the ending is not .png or .svg, or no file can be written there.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise EradioError(f"The picture {path} must end in .png or .svg.")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise EradioError(f"Cannot write the picture {path}. Choose another path with --picture.")


def profile_figure(profile: Profile) -> Figure:
    """Throughputs; and where they were looked into, stages and the roofline."""
    rows = list(profile.networks)
    timed = [row for row in rows if row.explanation is not None and row.explanation.shares is not None]
    roofed = [row for row in rows if row.explanation is not None and row.explanation.roofline is not None]
    panels = 1 + bool(timed) + bool(roofed)
    figure = Figure(
        figsize=(7.2, 1.0 + 0.32 * len(rows) * (1 + bool(timed)) + 2.6 * bool(roofed)), layout="constrained"
    )
    heights = [0.5 + 0.32 * len(rows)] * (1 + bool(timed)) + [2.6] * bool(roofed)
    axes = figure.subplots(panels, 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    target = rows[0].measurement.target
    figure.suptitle(
        f"{target.engine} {target.precision} on {target.device}, {target.threads} thread{'s' * (target.threads > 1)}",
        fontsize=9,
        color=GREY,
    )
    names = _names(rows)
    _throughputs(axes[0], rows, names)
    if timed:
        _stages(axes[1], timed, [names[rows.index(row)] for row in timed])
    if roofed:
        _roofline(axes[-1], roofed, [names[rows.index(row)] for row in roofed])
    return figure


def _names(rows: Sequence[Profiled]) -> list[str]:
    """Names, with resolution and batch where they differ."""
    targets = [row.measurement.target for row in rows]
    several = len({(target.resolution, target.batch) for target in targets}) > 1
    return [
        plain(row.name, 32) + (f", {target.resolution} px × {target.batch}" if several else "")
        for row, target in zip(rows, targets, strict=True)
    ]


def _throughputs(axes: Axes, rows: Sequence[Profiled], names: Sequence[str]) -> None:
    places = np.arange(len(rows))
    values = [row.measurement.throughput for row in rows]
    reach = np.array([[one.value - one.low for one in values], [one.high - one.value for one in values]])
    axes.barh(places, [one.value for one in values], height=0.6, color=BLUE, alpha=0.75)
    axes.errorbar(
        [one.value for one in values], places, xerr=np.maximum(reach, 0), fmt="none", ecolor=INK, capsize=3, lw=1
    )
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_xlabel("Throughput (images/s; bars: 95 % interval)")


def _stages(axes: Axes, rows: Sequence[Profiled], names: Sequence[str]) -> None:
    for place, row in enumerate(rows):
        assert row.explanation is not None
        assert row.explanation.shares is not None
        left = 0.0
        for index, part in enumerate(row.explanation.shares.stages):
            axes.barh(
                place, part.share, left=left, height=0.6, color=_PARTS[index % len(_PARTS)], alpha=0.7, ec="white"
            )
            if part.share >= 0.08:
                middle = left + part.share / 2
                axes.text(middle, place, plain(part.name, 12), ha="center", va="center", fontsize=6.5, color=INK)
            left += part.share
    axes.set_yticks(np.arange(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("Time by stage, in eager PyTorch")


def _roofline(axes: Axes, rows: Sequence[Profiled], names: Sequence[str]) -> None:
    unders = [row.explanation.roofline for row in rows if row.explanation is not None]
    points = [under for under in unders if under is not None]
    roof = points[0].roof
    ridge = roof.gflops / roof.gigabytes_per_second
    low = min(ridge, *(point.intensity for point in points)) / 3
    high = max(ridge, *(point.intensity for point in points)) * 3
    line = np.geomspace(low, high, 200)
    axes.plot(line, [roof.attainable(one) for one in line], color=INK, lw=1.4)
    axes.text(high, roof.gflops * 1.06, f"{roof.gflops:,.0f} GFLOP/s", ha="right", va="bottom", fontsize=7.5)
    for index, (point, name) in enumerate(zip(points, names, strict=True)):
        marker, color = CANDIDATES[index % len(CANDIDATES)]
        axes.plot(point.intensity, point.gflops, marker, color=color, label=name, ms=6, mec=INK, mew=0.7, ls="none")
    bottom = min(min(point.gflops for point in points), roof.attainable(low)) / 2
    scale(axes, "x", low, high)
    scale(axes, "y", bottom, 2 * roof.gflops)
    axes.set(xlim=(low, high), ylim=(bottom, 2 * roof.gflops))
    axes.set_xlabel(f"Arithmetic intensity (FLOP/byte); slope: {roof.gigabytes_per_second:,.3g} GB/s")
    axes.set_ylabel("GFLOP/s reached")
    axes.legend(loc="lower right")
