"""Placing labels beside points so that none covers another label or a point."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

# Offsets in points and alignments, the best first: no network lies below its own front.
Places: TypeAlias = tuple[tuple[int, int, str, str], ...]
BELOW: Places = (
    (-7, -7, "right", "top"),
    (0, -9, "center", "top"),
    (8, 0, "left", "center"),
    (7, -7, "left", "top"),
    (-8, 0, "right", "center"),
    (7, 7, "left", "bottom"),
    (0, 9, "center", "bottom"),
    (0, -22, "center", "top"),
    (-14, -18, "right", "top"),
    (14, -18, "left", "top"),
)
ABOVE: Places = (
    (-7, 7, "right", "bottom"),
    (0, 9, "center", "bottom"),
    (7, 7, "left", "bottom"),
    (-8, 0, "right", "center"),
    (8, 0, "left", "center"),
    (-7, -7, "right", "top"),
    (7, -7, "left", "top"),
    (0, -9, "center", "top"),
)


def place(
    axes: Axes,
    texts: Sequence[tuple[str, float, float]],
    dots: Sequence[tuple[float, float]],
    *,
    color: str,
    places: Places,
    lines: Sequence[Line2D] = (),
    taken: Sequence[Bbox] = (),
    reach: float = 4.0,
) -> list[Bbox]:
    """Write each text beside its point, where it covers nothing; leave out what fits nowhere.

    Args:
        axes: the plot, laid out, its limits final.
        texts: (text, x, y) in data coordinates, the most important first.
        dots: [n] (x, y) of every point that must stay visible.
        color: of the text.
        places: where to try, the best first.
        lines: that no text may cross.
        taken: boxes in pixels that are already in use.
        reach: half the width of a dot, in points.

    Returns:
        The boxes in use afterwards, in pixels.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    half = reach * figure.dpi / 72
    marks = np.asarray(axes.transData.transform(dots), dtype=np.float64).reshape(-1, 2)
    paths = [line.get_transform().transform_path(line.get_path()) for line in lines]
    boxes = list(taken)
    frame = axes.get_window_extent(renderer)
    for text, x, y in texts:
        note = axes.annotate(text, (x, y), (0, 0), textcoords="offset points", fontsize=8, color=color)
        for right, up, across, along in places:
            _move(note, right, up, across, along)
            box = note.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            crossed = any(path.intersects_bbox(box, filled=False) for path in paths)
            low, high = np.array([box.x0, box.y0]) - half, np.array([box.x1, box.y1]) + half
            hides = bool(((low < marks) & (marks < high)).all(axis=1).any())
            if inside and not crossed and not hides and not box.count_overlaps(boxes):
                boxes.append(box)
                break
        else:
            note.remove()
    return boxes


def _move(note: Annotation, right: float, up: float, across: str, along: str) -> None:
    note.set_position((right, up))
    note.set_horizontalalignment(across)  # type: ignore[arg-type]
    note.set_verticalalignment(along)  # type: ignore[arg-type]
