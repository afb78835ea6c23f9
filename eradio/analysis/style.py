"""How the figures look: colours safe for all colour vision, told apart in grey by marker and dash."""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito, "Color universal design" (2008).
INK, GREY, BLUE, ORANGE, GREEN, RED, PURPLE = (
    "#222222", "#6b6b6b", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7",
)  # fmt: skip
CANDIDATES = (("o", BLUE), ("D", ORANGE), ("s", GREEN), ("P", PURPLE), ("h", RED))
BASELINES = ("^", "v", "X", "<", ">", "p", "*", "d")

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "eradio",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def drawn(draw: Callable[[], Figure], form: str) -> bytes:
    """A figure as the bytes of a PNG or SVG file: the same records give the same bytes.

    Args:
        draw: makes the figure; called with our look in force and nothing of the caller's.
        form: "png" or "svg".
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a PNG then shows a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        metadata = {"Date": None} if form == "svg" else {}
        draw().savefig(buffer, format=form, dpi=200, metadata=metadata)
    return buffer.getvalue()


def inline(svg: bytes, name: str) -> str:
    """An SVG file's picture for the body of a page: no prolog, no metadata, and ids of its own."""
    text = svg.decode("utf-8")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-caption" ', 1)


def scale(axes: Axes, which: str, low: float, high: float) -> None:
    """A logarithmic axis where the values span more than a factor of four, with plain numbers on it.

    Args:
        axes: the plot.
        which: "x" or "y".
        low: the smallest value shown.
        high: the largest value shown.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    if low > 0 and high > 4 * low:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if high < 20 * low else (1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def saver(content: bytes) -> Callable[[Path], object]:
    """What `write_atomically` calls to put these bytes into a file."""
    return lambda path: path.write_bytes(content)
