"""A machine whose states have ratios of their own, as one with a busy neighbour on the same core has."""

import numpy as np
import pytest

from eradio.profile.alone import rate
from eradio.profile.target import STANDARD
from eradio.profile.throughput import compare
from eradio.profile.undisturbed import LEAST_SHARE, fast_part, undisturbed

FAST, SLOW = (0.004, 0.002), (0.0052, 0.0034)
"""Seconds of one call of candidate and canary: ratios of 0.5 and 0.65."""


class TwoStates:
    """Fast for `fast` seconds, then slow for `slow` seconds, again and again, with a little noise."""

    def __init__(self, fast, slow, seed=0):
        self.now, self.fast, self.slow = 0.0, fast, slow
        self.random = np.random.default_rng(seed)

    def clock(self):
        return self.now

    def _run(self, calls, which):
        for _ in range(calls):
            state = FAST if self.now % (self.fast + self.slow) < self.fast else SLOW
            self.now += state[which] * self.random.lognormal(0, 0.01)

    def candidate(self, calls):
        self._run(calls, 0)

    def canary(self, calls):
        self._run(calls, 1)


def measured(machine, usual=None):
    (reading,) = compare(
        [machine.candidate], machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock, usual=usual
    )
    return reading


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("fast", "slow"), [(1.5, 1.0), (4.0, 6.0), (0.9, 0.3)])
def test_the_ratio_is_that_of_the_fast_state(fast, slow, seed):
    reading = measured(TwoStates(fast, slow, seed), usual=0.002)
    assert reading.undisturbed >= LEAST_SHARE
    assert reading.ratio.value == pytest.approx(0.5, rel=0.01)
    assert reading.ratio.low <= 0.5 * 1.003
    assert reading.settled


def test_a_run_that_saw_only_the_slow_state_is_not_settled_if_the_fast_one_is_known():
    known, unknown = measured(TwoStates(0, 1), usual=0.002), measured(TwoStates(0, 1))
    assert (known.undisturbed, known.settled) == (0.0, False)
    assert unknown.settled
    assert known.ratio.value == pytest.approx(3.4 / 5.2, rel=0.01)


def test_a_stored_rate_from_a_slow_state_does_not_let_the_slow_one_count():
    assert measured(TwoStates(1, 1), usual=0.0034).ratio.value == pytest.approx(0.5, rel=0.01)


def test_a_few_fast_moments_settle_nothing():
    reading = measured(TwoStates(0.3, 3.0), usual=0.002)
    assert 0 < reading.undisturbed < LEAST_SHARE
    assert not reading.settled


def test_noise_alone_leaves_nearly_nothing_out():
    random = np.random.default_rng(0)
    candidate, canary = random.lognormal(0, 0.03, (2, 500))
    assert undisturbed(candidate, canary).mean() > 0.99


@pytest.mark.parametrize("deviation", [0.05, 0.1, 0.3])
def test_a_noisy_machine_that_has_one_state_loses_nothing(deviation):
    random = np.random.default_rng(0)
    candidate, canary = random.lognormal(0, deviation, (2, 500))
    assert undisturbed(candidate, canary).mean() > 0.97


def test_a_candidate_that_alone_is_disturbed_is_left_out_too():
    candidate, canary = np.array([1.0] * 30 + [1.4] * 10), np.full(40, 1.0)
    assert undisturbed(candidate, canary).tolist() == [True] * 30 + [False] * 10


def test_the_rate_of_one_network_is_that_of_the_fast_state():
    machine = TwoStates(1.0, 1.5)
    found = rate(machine.canary, STANDARD, clock=machine.clock, stopwatch=machine.clock)
    assert found.value == pytest.approx(500, rel=0.01)
    assert fast_part(np.array([1.0] * 8 + [1.05] * 4 + [2.0] * 4)).tolist() == [1.0] * 8 + [1.05] * 4
