import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.profile.target import Protocol
from eradio.profile.throughput import compare, median_interval, warm_up


class Machine:
    """A clock that only calls move, on a machine that drifts, throttles and is interrupted."""

    def __init__(self, seed=0, *, noise=0.0, drift=0.0, spikes=0.0, throttles=0, slow_start=0, neighbours=0.0):
        self._random = np.random.default_rng(seed)
        self._noise, self._drift, self._spikes, self._slow = noise, drift, spikes, slow_start
        self._phase = self._random.uniform(0, 2 * math.pi)
        self._steps = self._random.uniform(0, 2.5, throttles)
        self._neighbours = neighbours
        self.now = self.taken_by_others = 0.0
        self.calls = 0

    def clock(self):
        return self.now

    def stopwatch(self):
        return self.now - self.taken_by_others

    def network(self, seconds):
        def call():
            self.calls += 1
            slowness = 1 + self._drift * math.sin(self._phase + 3 * self.now)
            slowness *= 1.7 ** (sum(self.now > step for step in self._steps) % 2)
            slowness *= math.exp(self._noise * self._random.standard_normal())
            slowness *= 10 if self.calls <= self._slow else 1
            interrupted = self._random.random() < self._spikes
            turn = self._neighbours * self._random.random()
            self.taken_by_others += turn
            self.now += seconds * slowness + turn + (self._random.exponential(0.01) if interrupted else 0)

        return call

    def compare(self, candidate, canary, protocol=None):
        return compare(
            self.network(candidate),
            self.network(canary),
            protocol or Protocol(),
            clock=self.clock,
            stopwatch=self.stopwatch,
        )


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth, held, settled = 0.5, 0, 0
    for seed in range(150):
        machine = Machine(seed, noise=0.05, drift=0.3, spikes=0.03, throttles=3)
        reading = machine.compare(0.004, 0.004 * truth)
        held += reading.ratio.low <= truth <= reading.ratio.high
        settled += reading.settled
    assert 0.87 <= held / 150 <= 0.99  # nominally 0.95; few samples and the looks take some of it
    assert settled >= 140


def test_neighbouring_calls_that_are_alike_widen_the_interval():
    """Ten calls at a time share their noise: an interval that took them for independent would be far too narrow."""
    steps = np.random.default_rng(0).normal(1.0, 0.05, 40)
    alike, apart = np.repeat(steps, 25), np.random.default_rng(1).normal(1.0, 0.05, 1000)
    assert median_interval(alike).half_width() > 2 * median_interval(apart).half_width()


def test_drift_and_throttling_cancel_where_a_mean_of_raw_times_is_far_off():
    ratios, raw = [], []
    for seed in range(20):
        reading = Machine(seed, noise=0.02, drift=0.5, throttles=2).compare(0.004, 0.002)
        ratios.append(reading.ratio.value)
        raw.append(reading.pairs.candidate.mean())
    assert np.std(ratios) / np.mean(ratios) < 0.02
    assert np.std(raw) / np.mean(raw) > 0.1


def test_a_steady_machine_settles_at_the_first_look():
    protocol = Protocol(min_seconds=0.5, max_seconds=8.0, looks=5)
    reading = Machine().compare(0.01, 0.01, protocol)
    assert reading.settled
    assert 0.5 <= reading.seconds < 0.53


def test_a_noisy_machine_is_looked_at_again_and_then_called_unsettled():
    reading = Machine(noise=0.6).compare(0.01, 0.01)
    assert not reading.settled
    assert Protocol().max_seconds <= reading.seconds < Protocol().max_seconds + 0.1
    assert reading.ratio.half_width() > Protocol().half_width


def test_a_middling_machine_settles_at_one_of_the_looks_in_between():
    protocol = Protocol(min_seconds=0.2, max_seconds=20.0, looks=5)
    reading = Machine(noise=0.1).compare(0.004, 0.002, protocol)
    assert reading.settled
    assert any(look <= reading.seconds < look + 0.05 for look in protocol.look_times()[1:-1])


def test_bounds_are_in_elapsed_time_and_calls_in_the_stopwatchs():
    reading = Machine(neighbours=0.02).compare(0.004, 0.002)
    assert reading.ratio.value == pytest.approx(0.5)
    assert reading.seconds == pytest.approx(Protocol().min_seconds, abs=0.05)
    assert reading.pairs.candidate.sum() + reading.pairs.canary.sum() < reading.seconds / 2


def test_slow_first_calls_do_not_count():
    reading = Machine(slow_start=12).compare(0.004, 0.002)
    assert max(reading.pairs.candidate) == pytest.approx(0.004)


def test_a_warm_up_that_never_ends_is_bounded():
    machine = Machine(noise=1.0)
    network = machine.network(0.01)
    warm_up(network, network, 0.5, clock=machine.clock, stopwatch=machine.stopwatch)
    assert machine.now < 1.0


def test_a_slow_network_still_gets_enough_calls_for_an_interval():
    reading = Machine(noise=0.01).compare(2.0, 0.002)
    assert len(reading.pairs.candidate) == 16


@given(candidate=st.floats(1e-4, 1.0), canary=st.floats(1e-4, 1.0))
@settings(max_examples=30, deadline=None)
def test_without_noise_the_ratio_is_exact(candidate, canary):
    reading = Machine().compare(candidate, canary)
    assert reading.ratio.value == pytest.approx(canary / candidate, rel=1e-6)
    assert reading.settled


def test_calls_alternate_and_nothing_else_is_timed():
    order = []
    machine = Machine()
    first, second = machine.network(0.01), machine.network(0.02)
    reading = compare(
        lambda: (order.append("candidate"), first()),
        lambda: (order.append("canary"), second()),
        Protocol(),
        clock=machine.clock,
        stopwatch=machine.stopwatch,
    )
    assert order == ["candidate", "canary"] * (len(order) // 2)
    np.testing.assert_allclose(reading.pairs.canary, 0.02)
    assert len(reading.pairs.canary) == len(reading.pairs.candidate)
