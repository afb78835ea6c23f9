import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_machines import Machine
from eradio.profile.latency import (
    Latency,
    binomial_cumulative,
    fewest_calls,
    latency,
    mlperf_calls,
    quantile_interval,
)


def taken(machine, *, calls, seconds, watch=None):
    return latency(machine.candidate, clock=machine.clock, watch=watch, min_calls=calls, max_seconds=seconds)


def test_the_quantiles_of_a_known_distribution_are_found():
    """The logarithm of a call's time is normal, so its quantiles are known."""
    machine = Machine(np.random.default_rng(0), 0.002, 0.002, white=0.1)
    found = taken(machine, calls=5000, seconds=100.0)
    assert found.calls == 5000
    for interval, deviations in ((found.p50, 0.0), (found.p90, 1.28155), (found.p99, 2.32635)):
        assert interval.low <= 2 * math.exp(0.1 * deviations) <= interval.high
        assert interval.half_width() < 0.02


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_the_interval_of_a_quantile_holds_it_as_often_as_it_says(quantile):
    """For uniform values the quantile is its own number; order statistics hold it in 95 % of cases or a little more."""
    random = np.random.default_rng(1)
    runs = 1000
    found = [quantile_interval(np.sort(random.random(600)), quantile) for _ in range(runs)]
    held = sum(one.low <= quantile <= one.high for one in found)
    steps = binomial_cumulative(runs, 0.95)
    assert steps[held] > 0.0005
    assert held <= runs * 0.99


def test_too_few_calls_leave_p99_out_and_say_why():
    few = taken(Machine(np.random.default_rng(0), 0.01, 0.01, white=0.1), calls=1000, seconds=2.0)
    assert few.p99 is None
    assert 190 <= few.calls <= 200
    assert few.missing() == f"p99 takes at least 368 calls for a 95 % interval; there was time for {few.calls}."
    enough = taken(Machine(np.random.default_rng(0), 0.01, 0.01, white=0.1), calls=368, seconds=10.0)
    assert (enough.calls, enough.missing()) == (368, None)
    assert Latency.model_validate_json(enough.canonical()) == enough


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_one_call_less_than_the_fewest_has_no_interval(quantile):
    enough = np.arange(float(fewest_calls(quantile)))
    assert quantile_interval(enough, quantile) is not None
    assert quantile_interval(enough[1:], quantile) is None


def test_a_network_slower_than_the_longest_time_still_has_a_p90():
    found = taken(Machine(np.random.default_rng(0), 1.0, 1.0), calls=1000, seconds=0.1)
    assert found.calls == 64
    assert found.p90.value == pytest.approx(1000.0)


def test_what_others_take_counts_and_slow_first_calls_do_not():
    machine = Machine(np.random.default_rng(0), 0.001, 0.001, neighbours=0.003)
    assert taken(machine, calls=400, seconds=100.0).p50.value > 2
    cold = Machine(np.random.default_rng(0), 0.001, 0.001)
    calls = []

    def run(count):
        calls.append(count)
        cold.candidate(count * (100 if len(calls) < 4 else 1))

    found = latency(run, clock=cold.clock, min_calls=400, max_seconds=10.0)
    assert found.p99.high == pytest.approx(1.0)
    assert set(calls) == {1}


def test_progress_goes_from_nothing_to_all():
    shares = []
    taken(Machine(np.random.default_rng(0), 0.001, 0.001), calls=640, seconds=100.0, watch=shares.append)
    assert shares == pytest.approx([number / 10 for number in range(1, 11)])


def test_mlperf_s_numbers_are_those_of_its_rules():
    assert (mlperf_calls(0.9), mlperf_calls(0.99)) == (24_576, 270_336)


@given(count=st.integers(1, 30), percent=st.integers(1, 99))
@settings(max_examples=50)
def test_binomial_chances_are_the_exact_ones(count, percent):
    chance, total = Fraction(percent, 100), Fraction(0)
    for k, found in enumerate(binomial_cumulative(count, percent / 100)):
        total += math.comb(count, k) * chance**k * (1 - chance) ** (count - k)
        assert found == pytest.approx(float(total), abs=1e-12)


def test_binomial_chances_stay_chances_for_as_many_calls_as_mlperf_asks_for():
    steps = binomial_cumulative(270_336, 0.99)
    assert np.all(np.diff(steps) >= 0)
    assert steps[-1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [64, 400, 1000])
def test_the_ends_are_the_narrowest_order_statistics_that_keep_two_and_a_half_per_cent_on_each_side(count, quantile):
    def at_most(successes):
        chances = (math.comb(count, k) * quantile**k * (1 - quantile) ** (count - k) for k in range(successes + 1))
        return sum(chances)

    found = quantile_interval(np.arange(1.0, count + 1), quantile)
    if found is None:
        assert count < fewest_calls(quantile)
        return
    low, high = int(found.low), int(found.high)
    assert at_most(low - 1) <= 0.025 < at_most(low)
    assert 1 - at_most(high - 1) <= 0.025 < 1 - at_most(high - 2)
    assert found.value == math.ceil(quantile * count)
