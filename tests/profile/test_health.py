import re

import numpy as np
import pytest

from benchmarks.simulated_machines import Machine, Wander
from eradio.profile.clocks import State
from eradio.profile.health import notes
from eradio.profile.nvml import Gpu
from eradio.profile.target import Protocol
from eradio.profile.throughput import compare
from eradio.profile.usual import Usual

QUIET = (State(0.0), State(10.0))


def canary_of(seed, **disturbances):
    """The canary's block times in a run of four seconds."""
    machine = Machine(np.random.default_rng(seed), 0.004, 0.002, **disturbances)
    protocol = Protocol(looks=1, max_seconds=4.0)
    (reading,) = compare([machine.candidate], machine.canary, protocol, clock=machine.clock, stopwatch=machine.clock)
    return reading.pairs.canary


def test_a_machine_that_stays_as_it_is_has_no_notes():
    quiet = [canary_of(seed, white=0.03, spikes=2.0) for seed in range(100)]
    assert sum(bool(notes(times, *QUIET)) for times in quiet) <= 1
    wandering = [
        canary_of(seed, white=0.03, shared=Wander(np.random.default_rng(seed), 0.03, 0.01)) for seed in range(40)
    ]
    assert sum(bool(notes(times, *QUIET)) for times in wandering) <= 2


@pytest.mark.parametrize(("factor", "said"), [(1.7, "70% slower"), (1 / 1.7, "70% faster")])
def test_a_step_is_told_with_its_size_and_place(factor, said):
    times = np.random.default_rng(0).normal(2e-3, 2e-5, 300) * np.where(np.arange(300) < 120, 1, factor)
    (sentence,) = notes(times, *QUIET)
    assert said in sentence
    assert re.search("(39|40|41)% into the run", sentence)


def test_a_slow_change_is_told_with_the_speed_of_each_third():
    times = np.random.default_rng(0).normal(1, 0.01, 300) * np.linspace(2e-3, 3e-3, 300)
    (sentence,) = notes(times, *QUIET)
    assert sentence == (
        "The canary's speed changed from third to third of the run, 2.17 to 2.49 to 2.84 ms a call: "
        "throttling or neighbours."
    )


def test_a_change_no_greater_than_the_usual_spread_is_none():
    times = np.random.default_rng(0).normal(1, 0.2, 300) * np.linspace(2e-3, 2.2e-3, 300)
    assert notes(times, *QUIET) == ()


def test_too_few_blocks_say_nothing_of_speed():
    assert notes(np.array([1.0, 1.0, 9.0, 9.0]), *QUIET) == ()


STEADY = np.full(100, 2e-3)


def test_a_canary_far_below_its_stored_rate_is_told():
    assert notes(STEADY, *QUIET, unit=1.9e-3) == ()
    (sentence,) = notes(STEADY, *QUIET, unit=1.2e-3)
    assert sentence.startswith("The canary ran at 60% of its stored rate: the machine is busy or throttled, or")


def test_which_part_of_a_run_counted_is_told():
    assert notes(STEADY, *QUIET, usual=Usual(2e-3), share=1.0) == ()
    (some,) = notes(STEADY, *QUIET, usual=Usual(2e-3), share=0.12)
    assert some.startswith("The machine had several states; 12% of the canary's blocks saw it undisturbed")
    (none,) = notes(STEADY, *QUIET, usual=Usual(1.6e-3), share=0.0)
    assert none.startswith("Even the canary's fastest calls were 25% slower than usual here")
    (wide,) = notes(STEADY, *QUIET, usual=Usual(2e-3, scatter=0.024))
    assert wide.startswith("The canary's fastest calls differ by 2.4% from run to run on this machine")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            State(0.0, stolen=5.0),
            State(10.0, stolen=7.0),
            "The host gave 20% of one processor's time to other virtual machines (steal time).",
        ),
        (
            State(0.0, others=100.0),
            State(10.0, others=118.0),
            "Other processes used 1.8 processors meanwhile; caches and cores shared with them make ratios wander "
            "by several per cent from run to run.",
        ),
        (State(0.0, others=100.0), State(10.0, others=101.0), None),
        (State(0.0, cpu_mhz=3100), State(1.0, cpu_mhz=2400), "The processor's clock went from 3,100 to 2,400 MHz."),
        (State(0.0, stolen=5.0, cpu_mhz=3000), State(10.0, stolen=5.1, cpu_mhz=3100), None),
        (State(0.0, stolen=5.0, cpu_mhz=3000), State(10.0), None),
        (State(0.0, stolen=5.0), State(0.0, stolen=6.0), None),
    ],
)
def test_the_machine_s_own_words_become_a_sentence_each(before, after, said):
    assert notes(STEADY, before, after) == ((said,) if said else ())


def test_a_gpu_that_held_back_also_says_for_how_long_and_how_hot_it_was():
    hot = Gpu(1500, ("hardware thermal slowdown", "power cap"), 690.0, 86.0)
    assert notes(STEADY, *QUIET, gpu=[Gpu(1500), Gpu(1500, ("power cap",)), hot, hot]) == (
        "The GPU held its clock back 75% of the time: hardware thermal slowdown, power cap.",
        "The GPU ended at 86 °C and 690 W.",
    )


def test_a_gpu_s_clock_is_compared_from_the_first_third_of_the_run_to_the_last():
    seen = [Gpu(345), *[Gpu(1980)] * 5, *[Gpu(1200)] * 3]
    assert notes(STEADY, *QUIET, gpu=seen) == ("The GPU's clock went from 1,980 to 1,200 MHz.",)
    assert notes(STEADY, *QUIET, gpu=[Gpu(1980)] * 9) == ()
    assert notes(STEADY, *QUIET, gpu=[Gpu(None)] * 9) == ()
