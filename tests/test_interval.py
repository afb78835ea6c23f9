"""Intervals: 95 %, and no other share."""

import numpy as np
import pytest

from eradio.interval import Interval, bootstrap_interval, mean, median

# The 0.975 quantile of the standard normal distribution; for 90 % it would be 1.645, for 99 % 2.576.
TWO_SIDED_95 = 1.960


def test_the_interval_of_a_mean_is_the_textbook_s_95_per_cent() -> None:
    samples = np.random.default_rng(0).normal(10, 2, 1000)
    interval = bootstrap_interval(samples, mean, resamples=4000)
    expected = TWO_SIDED_95 * samples.std() / np.sqrt(len(samples))
    assert interval.value == pytest.approx(samples.mean())
    assert interval.value - interval.low == pytest.approx(expected, rel=0.06)
    assert interval.high - interval.value == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("block", [1, 7, 10, 19])
def test_a_resample_is_as_long_as_the_samples_whatever_the_block(block: int) -> None:
    lengths = bootstrap_interval(np.zeros(19), lambda drawn: np.full(len(drawn), float(drawn.shape[1])), block=block)
    assert (lengths.low, lengths.value, lengths.high) == (19, 19, 19)


def test_blocks_widen_the_interval_of_neighbours_that_are_alike() -> None:
    """For steps of ten equal values the mean is as sure as that of a tenth of the samples."""
    steps = np.random.default_rng(1).normal(size=100)
    samples = np.repeat(steps, 10)
    apart = bootstrap_interval(samples, mean, block=1)
    together = bootstrap_interval(samples, mean, block=50)
    truth = TWO_SIDED_95 * steps.std() / 10
    assert apart.high - apart.low < 2 * truth / 2.5
    assert together.high - together.low == pytest.approx(2 * truth, rel=0.2)


def test_blocks_begin_at_every_sample_and_wrap_around() -> None:
    """The mean of one block over three of four samples is one of the four means of neighbours on a circle."""
    seen = set()

    def note(drawn: np.ndarray) -> np.ndarray:
        seen.update(tuple(row[:3]) for row in drawn)
        return drawn.mean(axis=1)

    bootstrap_interval(np.arange(4.0), note, block=3)
    assert {(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)} <= seen
    assert len({block[0] for block in seen}) == 4


def test_the_same_samples_give_the_same_interval() -> None:
    samples = np.random.default_rng(2).gamma(2.0, size=50)
    assert bootstrap_interval(samples, median) == bootstrap_interval(samples, median)


@pytest.mark.parametrize(("count", "block"), [(0, 1), (5, 6), (5, 0)])
def test_a_block_that_does_not_fit_is_refused(count: int, block: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        bootstrap_interval(np.zeros(count), mean, block=block)


def test_intervals_that_share_a_point_overlap() -> None:
    first, second = Interval(value=1, low=0, high=2), Interval(value=3, low=2, high=4)
    assert first.overlaps(second)
    assert not first.overlaps(Interval(value=3, low=2.1, high=4))
    assert first.scaled(-2) == Interval(value=-2, low=-4, high=0)


def test_independent_errors_add_in_squares() -> None:
    wider = Interval(value=1.0, low=0.7, high=1.4).with_error(0.4)
    assert (wider.value, wider.low, wider.high) == pytest.approx((1.0, 0.5, 1 + 0.32**0.5))
    assert wider.with_error(0.0) == wider
