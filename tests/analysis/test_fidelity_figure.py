"""The picture of fidelity: every head named, mode switching visible."""

from pathlib import Path

from eradio.analysis.fidelity_figure import fidelity_figure, fidelity_table, write_fidelity
from eradio.distill.fidelity import Fidelity

FOUND = [
    Fidelity(head, side, value)
    for head, values in {
        "clip/summary": (3.0, 2.5, 0.4),
        "clip/spatial": (2.0, 2.1, 0.5),
        "sam/spatial": (0.6, 1.2, 4.0),
    }.items()
    for side, value in zip((256, 432, 1024), values, strict=True)
]


def test_a_line_a_head_and_a_point_a_resolution() -> None:
    (axes,) = fidelity_figure(FOUND).axes
    named = {line.get_label(): list(line.get_ydata()) for line in axes.lines if "/" in str(line.get_label())}
    assert named == {"clip/summary": [3.0, 2.5, 0.4], "clip/spatial": [2.0, 2.1, 0.5], "sam/spatial": [0.6, 1.2, 4.0]}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["256", "432", "1024"]
    assert [column.header for column in fidelity_table(FOUND).columns] == ["head", "256 px", "432 px", "1024 px"]


def test_the_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    first, second = (write_fidelity(FOUND, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["fidelity.csv", "fidelity.png", "fidelity.svg"]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))
    assert first[0].read_text().splitlines()[1] == "clip/summary,256,3.0"
