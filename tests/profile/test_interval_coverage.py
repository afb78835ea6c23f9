"""Whether 95 % intervals hold the truth in 95 % of cases, early stopping included.

The bounds are those of the binomial distribution: a rule whose true coverage is between 93 % and 97 % fails one in two
thousand times. Over all kinds a rule that covers 88 % or less fails almost surely; of one kind alone there are too few
machines to see less than about 75 %.
"""

import numpy as np
import pytest

from benchmarks.simulated_machines import KINDS, draw, measured
from eradio.interval import bootstrap_interval
from eradio.profile import throughput
from eradio.profile.latency import binomial_cumulative
from eradio.profile.target import SEARCH, STANDARD


def at_least(count, coverage):
    """The number that a binomial with this chance falls short of one in 2000 times."""
    return int(np.searchsorted(binomial_cumulative(count, coverage), 0.0005))


def at_most(count, coverage):
    return int(np.searchsorted(binomial_cumulative(count, coverage), 0.9995))


def read(kind, seed, protocol):
    machine = draw(kind, seed)
    return machine.truth, measured(machine, protocol)


def holding(protocol, each):
    """Of `each` machines of every kind that were seen undisturbed: how many intervals hold the truth, of how many."""
    held = {}
    for kind in KINDS:
        found = [read(kind, 5000 + seed, protocol) for seed in range(each)]
        claims = [(truth, one.ratio) for truth, one in found if one.undisturbed > 0]
        held[kind] = sum(ratio.low <= truth <= ratio.high for truth, ratio in claims), len(claims)
    return held


@pytest.mark.parametrize(("protocol", "each"), [(SEARCH, 125), (STANDARD, 60)], ids=["search", "standard"])
def test_intervals_hold_the_truth_as_often_as_they_say_on_machines_of_all_kinds(protocol, each):
    found = holding(protocol, each)
    assert all(held >= at_least(claims, 0.93) for held, claims in found.values()), found
    held, claims = (sum(column) for column in zip(*found.values(), strict=True))
    assert claims > 0.9 * each * len(KINDS)
    assert at_least(claims, 0.93) <= held <= at_most(claims, 0.97), found


def test_the_check_can_fail(monkeypatch):
    """A percentile bootstrap with short blocks claims too much, and the bounds notice."""

    def percentile(samples, statistic, widening):
        return bootstrap_interval(samples, statistic, block=round(len(samples) ** (1 / 3)), resamples=400)

    monkeypatch.setattr(throughput, "series_interval", percentile)
    held, claims = (sum(column) for column in zip(*holding(SEARCH, 125).values(), strict=True))
    assert held < at_least(claims, 0.93)


def test_many_machines_settle_and_a_longer_protocol_knows_more():
    short, long = (
        [read(kind, 5000 + seed, protocol)[1] for kind in KINDS for seed in range(10)]
        for protocol in (SEARCH, STANDARD)
    )
    assert sum(reading.settled for reading in short) > 0.3 * len(short)
    assert np.median([one.ratio.half_width() for one in long]) < 0.7 * np.median(
        [one.ratio.half_width() for one in short]
    )
