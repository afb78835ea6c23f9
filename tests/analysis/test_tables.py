"""The tables: what the terminal shows in 100 columns, and the flat rows of the CSV files."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from eradio.analysis.numbers import lasting, number, plus_minus
from eradio.analysis.tables import finalists_frame, front_frame, front_table, trials_frame
from eradio.interval import Interval
from tests.analysis.made_up import around, baseline, failed, finalist, measured, study, trial, whole


def shown(run):
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(front_table(run))
    return console.file.getvalue()


def test_the_front_fits_a_hundred_columns_from_the_fastest_to_the_slowest():
    run = study([trial(12345, 60, 0.2), trial(1, 12000, 0.6), trial(2, 5000, 0.7), trial(3, 900, 0.412345)])
    text = shown(run)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert [line.split()[0] for line in text.splitlines() if line.startswith("#")] == ["#1", "#3", "#12345"]
    assert "900.0 ± 9.9" in text
    assert "0.4123" in text
    assert "0.812 M" in text
    assert "0.0312" in text


def test_long_words_and_markup_stay_text_inside_the_table():
    run = study(
        [
            trial(0, words="[red]" + "w" * 300),
            trial(1, 2000, 0.6, measurement=measured(2000, 0.3, "unsettled")),
        ]
    )
    text = shown(run)
    assert "[red]" in text
    assert "unsettled" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_an_empty_front_is_a_table_of_headings():
    assert shown(study()).split() == ["trial", "images/s", "loss", "params", "GMACs", "network"]


def test_every_trial_is_a_row_with_flat_columns():
    run = whole()
    frame = trials_frame(run)
    assert len(frame) == len(run.trials)
    row = frame[(frame["role"] == "candidate") & (frame["number"] == 3)].iloc[0]
    record = run.trials[3]
    assert row["images_per_second"] == record.measurement.throughput.value
    assert row["images_per_second_low"] == record.measurement.throughput.low
    assert row["loss"] == record.score.loss
    assert row["loss sam/spatial"] == record.score.parts["sam/spatial"]
    assert row["engine"] == "eager"
    assert frame["reason"].notna().sum() == 2
    assert frame.set_index(["role", "number"]).loc[("candidate", 19), "duplicate_of"] == 3


def test_each_role_has_its_own_front_in_the_rows():
    run = study([trial(0, 1000, 0.3), trial(1, 900, 0.4), baseline(0, "vit", 500, 0.9), failed(2)])
    assert trials_frame(run)["on_front"].tolist() == [True, False, True, False]


def test_the_front_frame_is_the_front_alone():
    run = whole()
    frame = front_frame(run)
    assert set(frame["role"]) == {"candidate"}
    assert frame["images_per_second"].is_monotonic_decreasing
    assert frame["loss"].is_monotonic_decreasing
    assert len(front_frame(study())) == 0
    assert len(front_frame(study([failed(0)]))) == 0


def test_finalists_stand_beside_their_teacher_and_their_untrained_selves():
    one = trial(0)
    frame = finalists_frame(study([one], [finalist(one, score=0.5)]))
    row = frame.set_index("metric").loc["CLIP zero-shot top-1"]
    assert (row["teacher"], row["student"], row["untrained"]) == (0.78, 0.5, 0.007)
    assert row["ratio"] == pytest.approx(0.5 / 0.78)
    assert len(finalists_frame(study())) == 0


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (around(1000, 0.01), "1,000 ± 11"),
        (around(247.2, 0.01), "247.2 ± 2.7"),
        (around(0.62, 0.03), "0.620 ± 0.020"),
        (around(0.007, 0.1), "0.0070 ± 0.0008"),
        (Interval(value=812.4, low=812.4, high=812.4), "812.4"),
        (Interval(value=0, low=0, high=0.1), "0"),
    ],
)
def test_an_interval_is_written_with_two_digits_of_its_width(interval, text):
    assert plus_minus(interval) == text


@given(st.floats(1e-3, 1e9))
def test_a_number_keeps_its_significant_digits(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.005)


def test_durations_are_read_in_their_unit():
    assert [lasting(s) for s in (None, 21.4, 612, 9000)] == ["–", "21 s", "10 min", "2.5 h"]
