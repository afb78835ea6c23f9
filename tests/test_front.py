"""Fronts and hypervolume against their definitions and against moocore."""

import math

import moocore
import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eradio.front import contributions, dominates, front, hypervolume, ranks


def given(*strategies):
    """Hypothesis without a limit on the time of an example, which a busy core would break."""
    return lambda test: settings(deadline=None, max_examples=60)(given_any(*strategies)(test))


# A coarse grid, so that ties and equal points come up often.
grid = st.integers(-6, 6).map(float)
fine = st.floats(-1e3, 1e3, allow_nan=False)


def clouds(values=grid | fine, most=24, objectives=2):
    return hnp.arrays(np.float64, st.tuples(st.integers(1, most), st.just(objectives)), elements=values)


def test_dominance_needs_one_better_and_none_worse():
    assert dominates([1, 2], [1, 3])
    assert not dominates([1, 2], [1, 2])
    assert not dominates([0, 3], [1, 2])


@given(clouds(objectives=2) | clouds(objectives=3))
def test_front_holds_exactly_the_undominated_points_in_order(points):
    chosen = front(points)
    expected = {i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)}
    assert set(chosen) == expected
    assert len(chosen) == len(expected)
    assert (np.diff(points[chosen, 0]) >= 0).all()


@given(clouds())
def test_front_agrees_with_moocore(points):
    assert set(front(points)) == set(np.flatnonzero(moocore.is_nondominated(points, keep_weakly=True)))


@given(clouds() | clouds(objectives=3))
def test_ranks_agree_with_moocore(points):
    assert ranks(points).tolist() == moocore.pareto_rank(points).tolist()


@given(clouds())
def test_each_rank_is_the_front_of_what_is_left(points):
    order = ranks(points)
    for rank in range(order.max() + 1):
        left = np.flatnonzero(order >= rank)
        assert set(left[front(points[left])]) == set(np.flatnonzero(order == rank))


@given(clouds(), st.tuples(grid | fine, grid | fine))
def test_hypervolume_agrees_with_moocore(points, reference):
    expected = moocore.hypervolume(points, ref=np.asarray(reference, dtype=np.float64))
    assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(clouds(values=grid, most=12), st.tuples(grid, grid))
def test_hypervolume_counts_the_dominated_unit_squares(points, reference):
    squares = sum(
        any(x >= p[0] and y >= p[1] for p in points)
        for x in range(-6, int(reference[0]))
        for y in range(-6, int(reference[1]))
    )
    assert hypervolume(points, reference) == squares


@given(clouds(), fine, fine)
def test_a_further_point_never_lowers_the_hypervolume(points, x, y):
    reference = points.max(axis=0) + 1
    more = np.vstack([points, [x, y]])
    before = hypervolume(points, reference)
    assert hypervolume(more, reference) >= before - 1e-9 * abs(before)


@given(clouds())
def test_contribution_is_what_the_hypervolume_loses(points):
    reference = points.max(axis=0) + 1
    whole = hypervolume(points, reference)
    parts = contributions(points, reference)
    assert (parts >= 0).all()
    for index, part in enumerate(parts):
        without = np.delete(points, index, axis=0)
        assert part == pytest.approx(whole - hypervolume(without, reference), rel=1e-9, abs=1e-9 * whole)


@given(clouds())
def test_contributions_on_a_front_agree_with_moocore(points):
    edge = points[front(points)]
    reference = points.max(axis=0) + 1
    expected = moocore.hv_contributions(edge, ref=reference)
    tolerance = 1e-9 * hypervolume(edge, reference)
    np.testing.assert_allclose(contributions(edge, reference), expected, rtol=1e-9, atol=tolerance)


def test_equal_points_contribute_nothing_and_rank_equally():
    points = [[1, 1], [1, 1], [0, 5]]
    assert contributions(points, [10, 10]).tolist() == [0, 0, 5]
    assert ranks(points).tolist() == [0, 0, 0]


def test_no_points_have_an_empty_front_and_no_volume():
    assert front([]).tolist() == []
    assert ranks([]).tolist() == []
    assert hypervolume([], [1, 1]) == 0
    assert contributions([], [1, 1]).tolist() == []


def test_an_infinite_loss_is_the_worst_and_a_missing_one_is_refused():
    assert front([[0, math.inf], [0, 1]]).tolist() == [1]
    assert hypervolume([[0, math.inf], [0, 1]], [2, 2]) == 2
    with pytest.raises(ValueError, match="not a number"):
        front([[0, math.nan]])


def test_three_objectives_have_ranks_but_no_hypervolume():
    with pytest.raises(ValueError, match="two objectives"):
        hypervolume([[1, 2, 3]], [4, 4, 4])
    with pytest.raises(ValueError, match="finite"):
        hypervolume([[1, 2]], [4, math.inf])
