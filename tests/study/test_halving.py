"""Who goes on from a rung."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eradio.errors import EradioError
from eradio.front import ranks
from eradio.study.halving import Halving, judge, standings

clouds = hnp.arrays(np.float64, st.tuples(st.integers(1, 24), st.just(2)), elements=st.integers(-6, 6).map(float))


@settings(deadline=None)
@given(clouds)
def test_places_are_a_permutation_in_the_order_of_the_ranks(points):
    places = standings(points)
    assert sorted(places) == list(range(len(points)))
    ordered = ranks(points)[np.argsort(places)]
    assert (np.diff(ordered) >= 0).all()


@settings(deadline=None)
@given(clouds, st.integers(2, 5))
def test_as_many_go_on_as_asked_and_at_least_one(points, reduction):
    going = [judge(points, own, 30, reduction).goes_on for own in range(len(points))]
    assert sum(going) == max(1, len(points) // reduction)


def test_of_one_front_those_that_add_most_area_go_on():
    # The second and third lie side by side, so each of them alone adds little.
    points = [[0.0, 3.0], [1.0, 1.02], [1.02, 1.0], [3.0, 0.0]]
    places = standings(points)
    assert {places[0], places[3]} == {0, 1}


def test_a_first_comer_goes_on():
    decision = judge([[0.5, -1000.0]], 0, 30, 3)
    assert (decision.goes_on, decision.place, decision.among) == (True, 0, 1)


def test_with_two_targets_the_best_of_either_front_is_not_halted():
    # The last one has the poorest loss; it is the fastest, on the second target alone.
    points = [[1.0, -10.0, -1.0], [2.0, -20.0, -2.0], [3.0, -5.0, -0.5], [4.0, -4.0, -9.0]]
    assert judge(points, 3, 30, 2).goes_on
    assert not judge(points, 2, 30, 2).goes_on


@pytest.mark.parametrize("rungs", [[], [30, 30], [90, 30], [0, 30]])
def test_rungs_ascend(rungs):
    with pytest.raises(EradioError, match="rungs"):
        Halving.parse({"rungs": rungs}, "study.yaml")
