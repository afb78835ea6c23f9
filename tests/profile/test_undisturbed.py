"""A machine whose states have ratios of their own, as one with a busy neighbour on the same core has."""

import numpy as np
import pytest

from eradio.profile.alone import rate
from eradio.profile.target import STANDARD
from eradio.profile.throughput import compare
from eradio.profile.undisturbed import as_usual, logarithms, share, steady, undisturbed, undisturbed_seconds

FAST, SLOW = (0.004, 0.002), (0.0052, 0.0034)
"""Seconds of one call of candidate and canary: ratios of 0.5 and 0.65."""


class TwoStates:
    """Fast for `fast` seconds on average, then slow for `slow` seconds, again and again, with a little noise."""

    def __init__(self, fast, slow, seed=0, noise=0.01):
        self.random = np.random.default_rng(seed)
        self.now, self.noise, self.means = 0.0, noise, (fast, slow)
        self.state, self.turn = 0, self.lasting(0)

    def lasting(self, state):
        mean = self.means[state]
        if not all(self.means):
            return float("inf") if mean else 0.0
        return mean * self.random.uniform(0.5, 1.5)

    def clock(self):
        return self.now

    def _run(self, calls, which):
        for _ in range(calls):
            if self.now >= self.turn:
                self.state = 1 - self.state
                self.turn = self.now + self.lasting(self.state)
            self.now += (FAST, SLOW)[self.state][which] * self.random.lognormal(0, self.noise)

    def candidate(self, calls):
        self._run(calls, 0)

    def canary(self, calls):
        self._run(calls, 1)


class Moody(TwoStates):
    """The candidate is slower by a quarter in every other half second, whatever the neighbour does."""

    def candidate(self, calls):
        start, mood = self.now, 1.0 if int(self.now / 0.5) % 2 else 1.25
        super().candidate(calls)
        self.now = start + (self.now - start) * mood


def measured(machine, usual=None):
    (reading,) = compare(
        [machine.candidate], machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock, usual=usual
    )
    return reading


def bias_and_held(readings, truth):
    off = np.log([reading.ratio.value / truth for reading in readings])
    held = sum(reading.ratio.low <= truth <= reading.ratio.high for reading in readings)
    return abs(float(off.mean())), held


OFTEN_FAST = [(1.5, 1.0), (4.0, 6.0), (0.9, 0.3), (0.12, 0.03), (0.2, 0.05), (1.0, 0.05)]
SELDOM_FAST = [(0.1, 0.1), (0.3, 1.5), (0.1, 0.4), (0.3, 6.0)]


@pytest.mark.parametrize("noise", [0.01, 0.04])
@pytest.mark.parametrize(("fast", "slow"), OFTEN_FAST + SELDOM_FAST)
def test_the_ratio_is_that_of_the_fast_state_however_rare_it_is(fast, slow, noise):
    """The noise is a call's: the candidate's blocks of five calls are noisier than the canary's of ten."""
    readings = [measured(TwoStates(fast, slow, seed, noise), usual=0.002) for seed in range(20)]
    bias, held = bias_and_held(readings, 0.5)
    assert all(reading.undisturbed > 0.02 for reading in readings)
    assert bias < 0.004
    assert held >= 16


def test_a_network_that_is_fast_and_slow_by_itself_is_taken_for_a_fast_one_beside_a_busy_neighbour():
    readings = [measured(Moody(0.3, 1.5, seed), usual=0.002) for seed in range(5)]
    assert [reading.ratio.value for reading in readings] == pytest.approx([0.5] * 5, rel=0.03)


@pytest.mark.parametrize("slow", [1.0, 1.05, 1.12, 1.18])
@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_a_rate_that_was_stored_a_little_faster_leaves_no_bias(slow, noise):
    readings = [measured(TwoStates(1, 0, seed, noise), usual=0.002 / slow) for seed in range(20)]
    bias, held = bias_and_held(readings, 0.5)
    assert bias < 0.003
    assert held >= 16


@pytest.mark.parametrize(("fast", "slow"), [(0.01, 0.03), (0.03, 0.06), (0.01, 0.01)])
def test_states_that_change_about_as_fast_as_blocks_settle_nothing_wrong(fast, slow):
    for seed in range(12):
        reading = measured(TwoStates(fast, slow, seed), usual=0.002)
        assert not reading.settled or reading.ratio.value == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_a_run_that_saw_only_the_slow_state_is_not_settled_if_the_fast_one_is_known(noise):
    known = measured(TwoStates(0, 1, noise=noise), usual=0.002)
    assert (known.undisturbed, known.settled) == (0.0, False)
    assert known.ratio.value == pytest.approx(SLOW[1] / SLOW[0], rel=0.01)
    assert measured(TwoStates(0, 1)).settled


def test_a_stored_rate_from_a_slow_state_does_not_let_the_slow_one_count():
    assert measured(TwoStates(1, 1), usual=0.0034).ratio.value == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.1])
def test_a_noisy_machine_has_one_state(deviation):
    noisy = np.random.default_rng(0).lognormal(0, deviation, 1000)
    assert steady(noisy)
    assert undisturbed_seconds(noisy) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("deviation", [0.005, 0.01, 0.03])
def test_a_neighbour_makes_two_states(deviation):
    noisy = np.random.default_rng(0).lognormal(0, deviation, 1000)
    two = noisy * np.where(np.arange(1000) % 200 < 90, 1.6, 1.0)
    assert not steady(two)
    assert undisturbed_seconds(two) == pytest.approx(1.0, rel=0.02)


def test_a_spike_is_no_state():
    assert steady(np.where(np.arange(40) % 8 == 3, 1.9, 1.0))


def test_the_undisturbed_time_is_the_middle_of_the_fast_blocks():
    times = np.array([1.0] * 8 + [1.04] * 7 + [2.0] * 40)
    assert undisturbed_seconds(times) == pytest.approx(1.0)
    assert share(times) == pytest.approx(15 / 55)
    assert np.exp(undisturbed(logarithms(np.stack([times, 3 * times])), 0.05)) == pytest.approx([1.0, 3.0])
    assert np.isfinite(undisturbed(logarithms(np.zeros((1, 9))), 0.05)).all()


def test_a_candidate_that_is_slow_and_fast_by_itself_keeps_both():
    reading = measured(Moody(1, 0))
    assert reading.undisturbed == 1.0
    assert 0.4 <= reading.ratio.value <= 0.5
    assert reading.ratio.half_width() > 0.02


def test_what_is_as_usual_is_not_slower_by_a_tenth():
    times = np.full(20, 0.003)
    assert as_usual(times, None)
    assert as_usual(times, 0.0028)
    assert not as_usual(times, 0.0027)


def test_the_rate_of_one_network_is_that_of_the_fast_state():
    machine = TwoStates(1.0, 1.5)
    found = rate(machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock)
    assert found.value == pytest.approx(500, rel=0.01)
    assert found.low < 500 < found.high
