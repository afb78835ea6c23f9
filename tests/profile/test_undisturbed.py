"""A machine whose states have ratios of their own, as one with a busy neighbour on the same core has."""

import numpy as np
import pytest

from eradio.profile.alone import rate
from eradio.profile.target import STANDARD
from eradio.profile.throughput import compare
from eradio.profile.undisturbed import LEAST_SHARE, as_usual, fast_part, undisturbed

FAST, SLOW = (0.004, 0.002), (0.0052, 0.0034)
"""Seconds of one call of candidate and canary: ratios of 0.5 and 0.65."""


class TwoStates:
    """Fast for `fast` seconds, then slow for `slow` seconds, again and again, with a little noise."""

    def __init__(self, fast, slow, seed=0, noise=0.01):
        self.now, self.fast, self.slow, self.noise = 0.0, fast, slow, noise
        self.random = np.random.default_rng(seed)

    def clock(self):
        return self.now

    def _run(self, calls, which):
        for _ in range(calls):
            state = FAST if self.now % (self.fast + self.slow) < self.fast else SLOW
            self.now += state[which] * self.random.lognormal(0, self.noise)

    def candidate(self, calls):
        self._run(calls, 0)

    def canary(self, calls):
        self._run(calls, 1)


def measured(machine, usual=None):
    (reading,) = compare(
        [machine.candidate], machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock, usual=usual
    )
    return reading


def bias_and_held(readings, truth):
    off = np.log([reading.ratio.value / truth for reading in readings])
    held = sum(reading.ratio.low <= truth <= reading.ratio.high for reading in readings)
    return abs(float(off.mean())), held


@pytest.mark.parametrize(("fast", "slow"), [(1.5, 1.0), (4.0, 6.0), (0.9, 0.3)])
def test_the_ratio_is_that_of_the_fast_state(fast, slow):
    readings = [measured(TwoStates(fast, slow, seed), usual=0.002) for seed in range(20)]
    bias, held = bias_and_held(readings, 0.5)
    assert all(reading.undisturbed >= LEAST_SHARE and reading.settled for reading in readings)
    assert bias < 0.002
    assert held >= 16


@pytest.mark.parametrize("slow", [1.05, 1.12, 1.18])
@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_a_rate_that_was_stored_a_little_faster_leaves_no_bias(slow, noise):
    readings = [measured(TwoStates(1, 0, seed, noise), usual=0.002 / slow) for seed in range(20)]
    bias, held = bias_and_held(readings, 0.5)
    assert bias < 0.003
    assert held >= 16


@pytest.mark.parametrize(("fast", "slow"), [(0.06, 0.09), (0.12, 0.12), (0.2, 0.3)])
def test_states_that_change_as_fast_as_samples_are_taken_settle_nothing_wrong(fast, slow):
    for seed in range(12):
        reading = measured(TwoStates(fast, slow, seed), usual=0.002)
        assert not reading.settled or reading.ratio.value == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_a_run_that_saw_only_the_slow_state_is_not_settled_if_the_fast_one_is_known(noise):
    known = measured(TwoStates(0, 1, noise=noise), usual=0.002)
    assert (known.undisturbed, known.settled) == (0.0, False)
    assert known.ratio.value == pytest.approx(3.4 / 5.2, rel=0.01)
    assert measured(TwoStates(0, 1)).settled


def test_a_stored_rate_from_a_slow_state_does_not_let_the_slow_one_count():
    assert measured(TwoStates(1, 1), usual=0.0034).ratio.value == pytest.approx(0.5, rel=0.01)


def test_a_few_fast_moments_settle_nothing():
    reading = measured(TwoStates(0.3, 3.0), usual=0.002)
    assert (reading.undisturbed, reading.settled) == (0.0, False)


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.08])
def test_noise_alone_leaves_little_out(deviation):
    canary = np.random.default_rng(0).lognormal(0, deviation, 1000)
    assert undisturbed(canary).mean() > 0.8


def test_a_sample_beside_a_slow_one_is_left_out():
    canary = np.repeat([1.0, 1.5, 1.0], [20, 8, 12])
    assert np.flatnonzero(~undisturbed(canary)).tolist() == [9, 10, 11, 12, 13, 14]


def test_a_spike_is_no_state():
    canary = np.where(np.arange(40) % 8 == 3, 1.9, 1.0)
    assert undisturbed(canary).all()


def test_a_candidate_that_is_slow_and_fast_by_itself_keeps_both():
    class Moody(TwoStates):
        def candidate(self, calls):
            self.now += calls * (0.004 if int(self.now / 0.5) % 2 else 0.005)

    reading = measured(Moody(1, 0))
    assert reading.undisturbed > 0.9
    assert 0.4 <= reading.ratio.value <= 0.5
    assert reading.ratio.half_width() > 0.02


def test_three_samples_speak_for_nobody():
    random = np.random.default_rng(0)
    assert len(fast_part(random.lognormal(0, 0.01, 4))) == 4


def test_what_is_as_usual_is_not_slower_by_half():
    times = np.full(20, 0.003)
    assert as_usual(times, None)
    assert as_usual(times, 0.0026)
    assert not as_usual(times, 0.002)


def test_the_rate_of_one_network_is_that_of_the_fast_state():
    machine = TwoStates(1.0, 1.5)
    found = rate(machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock)
    assert found.value == pytest.approx(500, rel=0.01)
    assert fast_part(np.array([1.0] * 8 + [1.05] * 4 + [2.0] * 4)).tolist() == [1.0] * 8 + [1.05] * 4
    assert fast_part(np.zeros(9)).tolist() == [0.0] * 9
