"""The figures: what stands where, that nothing collides, and that any name can be drawn."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Annotation
from PIL import Image

from eradio.analysis.curves import curves, spread
from eradio.analysis.figures import pareto
from eradio.analysis.points import family, front_of, points
from eradio.analysis.style import drawn
from tests.analysis.made_up import baseline, failed, finalist, measured, study, trial, whole

SVG = "{http://www.w3.org/2000/svg}"
ODD = [
    "$\\frac{$",
    "<script>alert(1)</script>",
    "x" * 500,
    "a\x00b\x1b[31m",
    "名前 🦆",
    "_hidden",
    "%s {0}",
    "",
]


def labels(figure):
    return [note for note in figure.axes[0].texts if isinstance(note, Annotation)]


def test_the_chart_is_a_png_and_an_svg_with_its_text_as_text():
    run = whole()
    png = Image.open(io.BytesIO(drawn(lambda: pareto(run), "png")))
    assert png.size == (1440, 940)
    root = ElementTree.fromstring(drawn(lambda: pareto(run), "svg"))
    texts = {"".join(node.itertext()).strip() for node in root.iter(f"{SVG}text")}
    assert "Validation distillation loss (lower is better)" in texts
    assert {"searched front", "baselines' front", "finalist, trained longer", "baseline, ViT"} <= texts


def test_the_same_records_give_the_same_bytes():
    run = study([trial(0, 500, 0.3), trial(1, 800, 0.4), baseline(0, "vit", 700, 0.5)])
    assert drawn(lambda: pareto(run), "svg") == drawn(lambda: pareto(run), "svg")
    assert drawn(lambda: curves(run), "svg") == drawn(lambda: curves(run), "svg")


@pytest.mark.parametrize("seed", range(3))
def test_labels_cover_neither_each_other_nor_a_network(seed):
    run = whole(seed)
    figure = pareto(run)
    figure.draw_without_rendering()
    boxes = [note.get_window_extent() for note in labels(figure)]
    assert len(boxes) > 3
    everything = points(run, "candidate") + points(run, "baseline")
    dots = figure.axes[0].transData.transform([(p.throughput.value, p.loss) for p in everything])
    for index, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:index]) == 0
        assert not any(box.contains(x, y) for x, y in dots)


def test_the_searched_front_is_drawn_as_the_edge_of_what_it_dominates():
    run = study([trial(0, 500, 0.3), trial(1, 800, 0.4), trial(2, 700, 0.5)])
    (line,) = [line for line in pareto(run).axes[0].get_lines() if line.get_label() == "searched front"]
    left, top = pareto(run).axes[0].get_xlim()[0], pareto(run).axes[0].get_ylim()[1]
    assert line.get_xydata().tolist() == [[left, 0.3], [500, 0.3], [800, 0.4], [800, top]]
    assert line.get_drawstyle() == "steps-pre"


def test_the_throughput_axis_is_logarithmic_beyond_a_factor_of_four():
    assert pareto(study([trial(0, 500), trial(1, 900)])).axes[0].get_xscale() == "linear"
    assert pareto(study([trial(0, 500), trial(1, 2900)])).axes[0].get_xscale() == "log"


def test_intervals_are_drawn_at_their_ends():
    run = study([trial(0, loss=0.4, measurement=measured(1000, 0.1)), trial(1, 500, 0.3)])
    ends = [path.vertices[:, 0] for bars in pareto(run).axes[0].collections for path in bars.get_paths()]
    assert any(np.allclose(end, [900, 1110]) for end in ends)


def test_a_network_that_learned_nothing_does_not_flatten_the_fronts():
    run = study([*(trial(i, 500 + 100 * i, 0.3 + 0.01 * i) for i in range(9)), trial(9, 450, 90.0)])
    axes = pareto(run).axes[0]
    assert axes.get_ylim()[1] < 0.6
    assert "1 network with a higher loss at the upper edge" in axes.get_title(loc="right")


@pytest.mark.parametrize(
    "run",
    [
        study(),
        study([failed(0)]),
        study([trial(0)]),
        study([trial(0, curve=())]),
        study([baseline(0, "vit", 900, 0.4)]),
        study([trial(0, 1000, 0.0), trial(1, 1000, 0.0)]),
        study([trial(i, 1000, 0.5) for i in range(12)]),
    ],
)
def test_a_study_with_little_in_it_is_drawn(run):
    assert drawn(lambda: pareto(run), "svg").endswith(b"</svg>\n")
    assert drawn(lambda: curves(run), "svg").endswith(b"</svg>\n")


@pytest.mark.parametrize("figure", [pareto, curves])
def test_any_name_can_be_drawn(figure):
    odd = [
        baseline(i, "vit", 900 + 300 * i, 0.4 + 0.1 * i).model_copy(update={"name": name, "network": {"name": name}})
        for i, name in enumerate(ODD)
    ]
    run = study([trial(0), *odd], [finalist(one) for one in odd])
    text = drawn(lambda: figure(run), "svg").decode()
    shown = ["".join(node.itertext()) for node in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert {"$\\frac{$", "%s {0}", "a b [31m", "xxxxxxxxxxxxxxxxxxxxx…"} <= set(shown)
    assert "<script" not in text


def test_families_are_read_off_the_blocks_and_the_timm_names():
    assert [family(trial(number)) for number in range(4)] == [
        "convolutional",
        "hybrid",
        "attention",
        "hybrid",
    ]
    found = {family(baseline(0, name, 1, 1)) for name in ("resnet", "convnext", "vit", "mobilenet")}
    assert found == {"ResNet", "ConvNeXt", "ViT", "MobileNet"}
    other = trial(0, network={"name": "convnextv2_atto"}), trial(0, network={"options": 1}, name="e_radio_mini")
    assert [family(one) for one in other] == ["ConvNeXt", "e"]


def test_the_curves_name_the_front_and_end_at_the_validation_loss():
    run = whole()
    figure = curves(run)
    expected = [point.label for point in front_of(points(run, "candidate"))]
    assert sorted(note.get_text() for note in labels(figure)) == sorted(expected)
    assert len(figure.axes) == 3
    best = min(points(run, "candidate"), key=lambda point: point.loss)
    assert [1500, best.loss] in [line.get_xydata().tolist()[-1] for line in figure.axes[0].get_lines()]


heights = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(lambda some: np.sort(np.array(some)))


@given(heights, st.floats(0, 0.2))
@settings(deadline=None, max_examples=60)
def test_spread_parts_neighbours_and_moves_only_what_is_too_near(some, gap):
    parted = spread(some, gap)
    assert (np.diff(parted) >= gap - 1e-9).all()
    assert parted.mean() == pytest.approx(some.mean(), abs=1e-9)
    if (np.diff(some) >= gap).all():
        np.testing.assert_allclose(parted, some, atol=1e-9)
