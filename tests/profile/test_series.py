import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.profile.series import series_interval, student_quantile

TABLE = {4: 2.7764, 5: 2.5706, 7: 2.3646, 8: 2.3060, 15: 2.1314, 30: 2.0423, 1000: 1.9623}
"""The 97.5 % quantiles of Student's t that textbooks print."""


@pytest.mark.parametrize("freedom", TABLE)
def test_student_s_quantile_is_the_textbook_s(freedom):
    assert student_quantile(freedom) == pytest.approx(TABLE[freedom], rel=5e-4)


def test_the_half_width_of_many_independent_samples_is_the_textbook_s():
    """The median's error is sqrt(pi / 2) deviations over sqrt(n); the quantile is Student's for six blocks."""
    expected = 2.306 * np.sqrt(np.pi / 2 / 600)
    found = [series_interval(np.random.default_rng(seed).normal(size=600)) for seed in range(300)]
    widths = [(interval.high - interval.low) / 2 for interval in found]
    assert np.mean(widths) == pytest.approx(expected, rel=0.05)


def test_neighbours_that_are_alike_widen_the_interval():
    """Ten samples at a time share their noise: an interval that took them for independent would be far too narrow."""
    steps = np.random.default_rng(0).normal(1.0, 0.05, 60)
    alike, apart = np.repeat(steps, 10), np.random.default_rng(1).normal(1.0, 0.05, 600)
    assert series_interval(alike).half_width() > 2 * series_interval(apart).half_width()


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40), st.floats(0.5, 5), st.floats(-5, 5))
def test_it_follows_unit_and_origin_and_widens_as_told(samples, unit, origin):
    plain = series_interval(np.array(samples))
    moved = series_interval(np.array(samples) * unit + origin, widening=2.0)
    assert plain.low <= plain.value <= plain.high
    assert moved.value == pytest.approx(plain.value * unit + origin, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(2 * unit * (plain.high - plain.low), abs=1e-9)


def test_equal_samples_leave_no_doubt():
    found = series_interval(np.full(20, 3.0))
    assert (found.low, found.value, found.high) == (3.0, 3.0, 3.0)
