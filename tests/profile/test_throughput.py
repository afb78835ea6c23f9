import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_machines import Machine
from eradio.profile import throughput
from eradio.profile.alone import rate
from eradio.profile.series import series_interval
from eradio.profile.target import SEARCH, Protocol
from eradio.profile.throughput import FEWEST_ROUNDS, Pairs, compare


def machine(seed=0, candidate=0.004, canary=0.002, **disturbances):
    return Machine(np.random.default_rng(seed), candidate, canary, **disturbances)


def measured(simulated, protocol=SEARCH, **options):
    (reading,) = compare(
        [simulated.candidate],
        simulated.canary,
        protocol,
        clock=simulated.clock,
        stopwatch=simulated.stopwatch,
        **options,
    )
    return reading


def test_drift_and_throttling_cancel_where_a_mean_of_raw_times_is_far_off():
    ratios, raw = [], []
    for seed in range(20):
        reading = measured(machine(seed, white=0.02, drift=math.log(1.5), period=3.0, throttle=1.7))
        ratios.append(reading.ratio.value)
        raw.append(reading.pairs.candidate.mean())
    assert np.std(ratios) / np.mean(ratios) < 0.03
    assert np.std(raw) / np.mean(raw) > 0.1


@pytest.mark.parametrize(("doubling", "near"), [(1.0, 0.05), (8.0, 2e-3)])
def test_a_drift_that_never_turns_leaves_no_bias_whoever_goes_first(doubling, near):
    """Everything gets slower and slower; measuring the candidate always first would favour it."""
    simulated = machine()

    def slowing(calls):
        simulated.now += calls * 0.02 * 2 ** (simulated.now / doubling)

    protocol = Protocol(looks=1, max_seconds=2.0)
    (reading,) = compare([slowing], slowing, protocol, clock=simulated.clock, stopwatch=simulated.clock)
    assert reading.pairs.canary[0] > 1.001 * reading.pairs.candidate[0]
    assert reading.ratio.low < 1 < reading.ratio.high
    assert reading.ratio.value == pytest.approx(1.0, rel=near)


def test_spikes_in_half_of_all_samples_leave_no_bias():
    """A skewed disturbance, charged in proportion to time, strikes candidate and canary alike."""
    readings = [measured(machine(seed, white=0.01, spikes=10.0, spike_seconds=0.01)) for seed in range(100)]
    off = np.log([reading.ratio.value / 0.5 for reading in readings])
    error = off.std(ddof=1) / math.sqrt(len(off))
    assert error < 0.002
    assert abs(off.mean()) < 4 * error


def test_a_steady_machine_settles_at_the_first_look():
    protocol = Protocol(min_seconds=1.5, max_seconds=24.0, looks=5)
    reading = measured(machine(), protocol)
    assert reading.settled
    assert 1.5 <= reading.seconds < 1.6


def test_a_noisy_machine_is_looked_at_again_and_then_called_unsettled():
    reading = measured(machine(white=0.6))
    assert not reading.settled
    assert SEARCH.max_seconds <= reading.seconds < SEARCH.max_seconds + 0.1
    assert reading.ratio.half_width() > SEARCH.half_width


def test_a_middling_machine_settles_at_one_of_the_looks_in_between():
    protocol = Protocol(min_seconds=0.8, max_seconds=80.0, looks=5)
    reading = measured(machine(white=0.05), protocol)
    assert reading.settled
    assert any(look <= reading.seconds < look + 0.1 for look in protocol.look_times()[1:-1])


@pytest.mark.parametrize(("candidate", "widenings"), [(0.004, [1.1, 1.1, 1.0]), (1.0, [1.0])])
def test_only_looks_that_are_not_the_last_pay_for_the_choice(monkeypatch, candidate, widenings):
    """A network so slow that its fewest rounds outlast the longest time is looked at once."""
    seen = []

    def noted(samples, statistic, widening):
        seen.append(widening)
        return series_interval(samples, statistic, widening)

    monkeypatch.setattr(throughput, "series_interval", noted)
    measured(machine(candidate=candidate, white=0.6))
    assert seen == widenings


def test_what_runs_differ_by_is_in_the_interval_and_no_longer_measuring_removes_it():
    alone, among = measured(machine(white=0.001)), measured(machine(white=0.001), scatter=0.04)
    assert alone.settled
    assert not among.settled
    assert among.ratio.half_width() == pytest.approx(1.96 * 0.5 * 0.04, rel=0.05)
    assert among.seconds > 2 * alone.seconds


def test_bounds_are_in_elapsed_time_and_calls_in_the_stopwatchs():
    simulated = machine(neighbours=0.005)
    reading = measured(simulated)
    assert reading.ratio.value == pytest.approx(0.5)
    assert reading.seconds == pytest.approx(SEARCH.min_seconds, abs=0.2)
    assert simulated.stolen > 0.2


def test_a_slow_network_still_gets_enough_calls_for_an_interval():
    reading = measured(machine(candidate=2.0, white=0.01))
    assert len(reading.pairs.candidate) == FEWEST_ROUNDS


def test_a_run_goes_on_until_the_candidate_has_processed_as_many_pictures_as_asked_for_or_time_is_up():
    patient = Protocol(min_samples=24_576, max_seconds=100.0)
    reading = measured(machine(), patient, samples_a_call=8)
    assert 24_576 <= reading.calls * 8 < 24_576 + 2 * 5 * 8
    assert reading.settled
    assert SEARCH.max_seconds < reading.seconds < 100
    short = measured(machine(), Protocol(min_samples=24_576), samples_a_call=8)
    assert short.calls * 8 < 24_576
    assert short.seconds == pytest.approx(SEARCH.max_seconds, abs=0.2)


def test_candidates_are_set_beside_the_first_of_their_run():
    simulated = machine(white=0.02)
    twice = [simulated.candidate, lambda calls: simulated.candidate(2 * calls)]
    first, second = compare(twice, simulated.canary, SEARCH, clock=simulated.clock, stopwatch=simulated.stopwatch)
    assert first.against_first is None
    assert second.against_first.low <= 0.5 <= second.against_first.high
    assert second.against_first.half_width() < 0.05
    assert first.warm


@given(candidate=st.floats(1e-4, 1.0), canary=st.floats(1e-4, 1.0))
@settings(max_examples=30, deadline=None)
def test_without_noise_the_ratio_is_exact_and_both_are_timed_for_as_long(candidate, canary):
    reading = measured(machine(candidate=candidate, canary=canary))
    assert reading.ratio.value == pytest.approx(canary / candidate, rel=1e-6)
    assert reading.settled
    pairs = reading.pairs
    lasting, beside = pairs.candidate[0] * pairs.calls, pairs.canary[0] * pairs.canary_calls
    assert 2 / 3 - 1e-9 <= beside / lasting <= 3 / 2 + 1e-9
    assert max(lasting, beside) >= 0.74 * SEARCH.block_seconds
    assert max(lasting, beside) <= 1.5 * max(SEARCH.block_seconds, candidate, canary)


def test_calls_alternate_and_rounds_run_forwards_backwards_backwards_forwards():
    order = []
    simulated = machine(candidate=0.02, canary=0.02)

    def noted(name, run):
        return lambda calls: (order.append(name), run(calls))

    compare(
        [noted("A", simulated.candidate), noted("B", simulated.candidate)],
        noted("c", simulated.canary),
        Protocol(warm_up_seconds=0),
        clock=simulated.clock,
        stopwatch=simulated.stopwatch,
    )
    (found,) = re.findall("^ABc((?:AcBccBcAcBcAAcBc)+)(?:AcBccBcA)?$", "".join(order))
    assert len(found) >= 0.8 * len(order)


def test_the_first_call_of_a_block_of_several_is_not_timed():
    """The other network has emptied the caches, so every first call takes three times as long."""
    simulated = machine()
    last = []

    def cold(name, seconds):
        def run(calls):
            extra = 2 * seconds if last[-1:] != [name] else 0
            last.append(name)
            simulated.now += calls * seconds + extra

        return run

    (reading,) = compare(
        [cold("candidate", 0.004)], cold("canary", 0.002), SEARCH, clock=simulated.clock, stopwatch=simulated.clock
    )
    assert (reading.pairs.calls, reading.pairs.canary_calls) == (5, 10)
    np.testing.assert_allclose(reading.pairs.candidate, 0.004)
    np.testing.assert_allclose(reading.pairs.canary, 0.002)


def test_candidates_in_one_run_have_a_reading_and_a_verdict_each():
    """One is noisy, one is not: the run goes on for both, and only one of them settles."""
    noisy = machine(white=0.6)

    def calm(calls):
        noisy.now += calls * 0.001

    protocol = Protocol(min_seconds=0.5, max_seconds=1.0)
    shares = []
    first, second = compare(
        [noisy.candidate, calm], calm, protocol, clock=noisy.clock, stopwatch=noisy.clock, watch=shares.append
    )
    assert (first.settled, second.settled) == (False, True)
    assert second.ratio.value == pytest.approx(1.0)
    assert first.seconds == second.seconds >= 2 * protocol.max_seconds
    assert len(first.pairs.candidate) == len(second.pairs.candidate) == len(shares)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_two_blocks_of_each_make_one_sample():
    pairs = Pairs(np.array([1.0, 2.0, 4.0, 4.0]), np.array([2.0, 1.0, 4.0, 16.0]), 1, 1)
    np.testing.assert_allclose(np.exp(pairs.log_ratio()), [1.0, 2.0])


def test_the_rate_of_a_network_by_itself_is_its_median():
    simulated = machine(white=0.02)
    found = rate(simulated.canary, SEARCH, clock=simulated.clock, stopwatch=simulated.stopwatch)
    assert found.low < 500 < found.high
    assert found.half_width() < SEARCH.half_width
    assert SEARCH.min_seconds <= simulated.now <= SEARCH.min_seconds + 0.6
