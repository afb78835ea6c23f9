"""How far two orders agree."""

import numpy as np
import pytest

from eradio.agreement import tau, tau_in_bands

ONE = np.arange(12.0)


def test_the_same_order_the_other_way_round_and_ties():
    assert tau(ONE, ONE * 3) == 1
    assert tau(ONE, -ONE) == -1
    assert tau(ONE, np.zeros(12)) == 0
    # Six pairs: four in order, one not, one tied in the second.
    assert tau(ONE[:4], np.array([0.0, 2.0, 1.0, 2.0])) == pytest.approx((4 - 1) / np.sqrt(6 * 5))


def test_bands_hide_agreement_between_them():
    values = np.concatenate([ONE[:6][::-1], ONE[:6][::-1] + 100])
    bands = [np.arange(6), np.arange(6, 12)]
    assert tau(ONE, values) > 0
    found = tau_in_bands(ONE, values, bands, resamples=50)
    assert (found.value, found.low, found.high) == (-1, -1, -1)


def test_an_interval_holds_what_was_found():
    noisy = ONE + np.random.default_rng(0).normal(scale=3, size=12)
    found = tau_in_bands(ONE, noisy, [np.arange(12)], resamples=200)
    assert -1 <= found.low < found.value < found.high <= 1
