import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated_machines import Machine
from eradio.profile.warming import warm_up


def warmed(simulated, *runs, seconds=10.0, block=0.005):
    return warm_up(runs, seconds, block, clock=simulated.clock, stopwatch=simulated.stopwatch).seconds


@given(candidate=st.floats(1e-5, 1.0), canary=st.floats(1e-5, 1.0))
def test_it_finds_what_a_call_takes(candidate, canary):
    simulated = Machine(np.random.default_rng(0), candidate, canary)
    assert warmed(simulated, simulated.candidate, simulated.canary) == pytest.approx((candidate, canary))


def test_slow_first_calls_are_waited_out():
    simulated = Machine(np.random.default_rng(0), 0.004, 0.002)
    seen = []

    def slow_start(calls):
        seen.append(calls)
        simulated.candidate(calls * (10 if len(seen) <= 4 else 1))

    assert warmed(simulated, slow_start) == pytest.approx((0.004,))
    assert len(seen) > 6


def test_a_network_that_answers_late_but_works_fast_is_asked_for_more_at_a_time():
    """An accelerator takes a millisecond to answer, and a hundredth for every call that is queued meanwhile."""
    simulated = Machine(np.random.default_rng(0), 1.0, 1.0)

    def queued(calls):
        simulated.now += 1e-3 + 1e-5 * calls

    (seconds,) = warmed(simulated, queued)
    assert seconds < 2e-5


def test_one_that_never_ends_is_bounded():
    simulated = Machine(np.random.default_rng(0), 0.01, 0.01, white=1.0)
    warmed(simulated, simulated.candidate, simulated.canary, seconds=0.5)
    assert simulated.now < 1.0


def test_without_time_everything_still_runs_once():
    simulated = Machine(np.random.default_rng(0), 0.01, 0.02)
    assert warmed(simulated, simulated.candidate, simulated.canary, seconds=0.0) == pytest.approx((0.01, 0.02))
    assert simulated.now == pytest.approx(0.03)


def test_a_clock_that_stands_still_leaves_a_number_to_divide_by():
    (seconds,), _ = warm_up([lambda calls: None], 0.0, 0.005, clock=lambda: 0.0, stopwatch=lambda: 0.0)
    assert seconds > 0
