import pytest
from rich.console import Console

from eradio.analysis.profile_figure import draw_profile, profile_figure
from eradio.errors import EradioError
from eradio.interval import Interval
from eradio.profile import Measurement, Profile, Profiled, Target
from eradio.profile.engines.base import Facts, Layer
from eradio.profile.explanation import Explanation
from eradio.profile.latency import Latency
from eradio.profile.memory import LargestBatch
from eradio.profile.ranking import Rank
from eradio.profile.record import Agreement, CallTimes, Reference
from eradio.profile.roofline import Roof, under_roof
from eradio.profile.shares import Share, Shares
from eradio.profile.table import tables


def measured(verdict="settled", fallback=(), **target):
    times = CallTimes(fastest=1, quarter=2, median=3, three_quarters=4, slowest=5)
    return Measurement(
        identity="i",
        network="n",
        target=Target(**target),
        environment="e",
        made_at="2026-01-01T00:00:00+00:00",
        throughput=Interval(value=12345, low=12000, high=12700),
        ratio=Interval(value=1.5, low=1.47, high=1.53),
        verdict=verdict,
        latency_ms=3,
        calls=99,
        seconds=0.4,
        preparation_seconds=12.5,
        canary=Reference(canary="canary-1", images_per_second=8230, half_width=0.01),
        parameters=1_230_000,
        gmacs=0.0456,
        activations=789_000,
        agreement=Agreement(cosine=1, max_error=0),
        facts=Facts(fallback=fallback),
        times=times,
        canary_times=times,
        notes=("The processor's clock went from 3,000 to 2,000 MHz.",),
        load=0.5,
    )


def explanation(**changes):
    roof = Roof(precision="fp32", threads=1, gflops=100, gigabytes_per_second=10)
    known = {
        "weights_bytes": 4_920_000,
        "peak_bytes": 33_000_000,
        "joules_a_picture": None,
        "latency": Latency(
            p50=Interval(value=1.25, low=1, high=2),
            p90=Interval(value=2.5, low=2, high=3),
            p99=None,
            calls=80,
            seconds=1,
        ),
        "shares": Shares(stages=(Share(name="stem", share=0.7), Share(name="neck", share=0.3)), kinds=()),
        "layers": (),
        "roofline": under_roof(
            roof, images_per_second=12345, gmacs=0.0456, activations=789_000, weights=4_920_000, batch=8
        ),
    }
    return Explanation(**{**known, **changes})


def row(name="e_radio_mini", rank=(1, 1), why=None, **target):
    best, worst = rank
    return Profiled(
        name=name,
        source="random weights",
        measurement=measured(**target),
        rank=Rank(best=best, worst=worst),
        explanation=why,
    )


def profile(*rows, **changes):
    known = {"command": "eradio profile x", "made_at": "now", "engine_choice": "Engine openvino on cpu: because."}
    known |= {"environment": {}, "cpu_mhz": None, "calibration": None, "largest_batch": {}}
    return Profile(**{**known, "networks": rows, **changes})


def shown(found, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in tables(found):
        console.print(part)
    return console.export_text()


def test_a_row_says_what_was_measured_and_how_sure_it_is():
    text = shown(profile(row()))
    for part in ("e_radio_mini", "12,345", "12,000 to 12,700", "1.5 ± 2.0%", "3.00", "settled"):
        assert part in text
    assert "openvino fp32 on cpu, batch 8, 64 px, 1 thread\n" in text.replace(" \n", "\n").replace("  ", "")
    assert "Engine openvino on cpu: because." in text
    assert "clock went from 3,000 to 2,000 MHz" in text
    assert "unsettled" not in text
    assert "rank" not in text


def test_why_it_is_so_stands_below():
    text = shown(profile(row(why=explanation(joules_a_picture=0.0123))))
    for part in ("1.23", "0.046", "0.79", "4.9", "33", "1.25 / 2.50 / -", "12.5", "0.0123", "stem 70%, neck 30%"):
        assert part in text
    assert "GFLOP/s" in text
    layers = (
        Layer(name="conv7", kind="conv", milliseconds=0.5),
        Layer(name="gelu", kind="pointwise", milliseconds=0.1),
    )
    assert "conv7 0.500 ms, gelu 0.100 ms" in " ".join(shown(profile(row(why=explanation(layers=layers)))).split())


def test_what_a_machine_does_not_tell_is_not_made_up():
    nothing = dict.fromkeys(("weights_bytes", "peak_bytes", "latency", "shares", "roofline"))
    text = shown(profile(row(why=explanation(**nothing))))
    assert "J/picture" not in text
    assert "None" not in text
    assert text.count(" - ") >= 3


def test_unsettled_rows_and_shared_ranks_are_explained():
    text = shown(profile(row("a", (1, 2)), row("b", (1, 2), verdict="unsettled")))
    assert "wider than asked for" in text
    assert text.count("1-2") == 2
    assert "not told apart" in text


def test_networks_of_one_run_are_set_beside_the_first():
    faster = row("b", (1, 1))
    ratio = Interval(value=6.25, low=6.0, high=6.5)
    faster = faster.model_copy(update={"measurement": faster.measurement.model_copy(update={"against_first": ratio})})
    text = shown(profile(row("a", (2, 2)), faster))
    assert "6.25 ± 4.0%" in text
    assert "over those of a in the same run" in text


def test_a_machine_that_was_never_undisturbed_is_said():
    found = row(verdict="unsettled")
    found = found.model_copy(update={"measurement": found.measurement.model_copy(update={"undisturbed": 0.0})})
    assert "never as fast as usual" in shown(profile(found))


def test_what_an_engine_leaves_to_another_is_listed():
    assert "left to PyTorch: 2 roll" in shown(profile(row(fallback=("2 roll",))))


def test_a_sweep_has_a_row_for_each_target_and_the_largest_batch():
    rows = [row(why=explanation(), batch=batch, resolution=side) for batch in (1, 8) for side in (64, 96)]
    text = shown(profile(*rows, largest_batch={"e_radio_mini": LargestBatch(pictures=1234, beyond="no memory")}))
    for part in ("px", "batch", "64 × 1", "96 × 8"):
        assert part in text
    assert "e_radio_mini at 64 px: 1,234 pictures a call fit the memory that is free; a sixteenth more do not." in text
    nothing = shown(profile(*rows, largest_batch={"a": LargestBatch(pictures=0, beyond="no memory")}))
    assert "a at 64 px: not one picture a call fits the memory that is free." in nothing
    slow = shown(profile(*rows, largest_batch={"a": LargestBatch(pictures=0, beyond="too slow")}))
    assert "a at 64 px: one picture a call took too long to try." in slow


@pytest.mark.parametrize("width", [100, 120])
def test_the_tables_fit_a_terminal(width):
    rows = [row("timm/mobilenetv3_small_050", (1, 2), explanation()), row("b", (1, 2), explanation())]
    assert max(len(line) for line in shown(profile(*rows), width).splitlines()) <= width


def test_a_profile_survives_json():
    found = profile(row(why=explanation()))
    assert Profile.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_picture_is_drawn(tmp_path, form):
    found = profile(row("a", why=explanation()), row("b<&$", why=explanation()), row("c"))
    path = tmp_path / f"picture.{form}"
    draw_profile(found, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if form == "png" else b"<?xml")
    draw_profile(found, path)
    assert path.read_bytes() == content
    if form == "svg":
        for words in ("Throughput (images/s", "Time by stage", "Arithmetic intensity"):
            assert words in content.decode()


def test_a_profile_without_reasons_is_drawn_as_bars_alone(tmp_path):
    assert len(profile_figure(profile(row(), row("b", resolution=96))).axes) == 1
    with pytest.raises(EradioError, match=r"must end in .png or .svg"):
        draw_profile(profile(row()), tmp_path / "picture.bmp")
