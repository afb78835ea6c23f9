"""Which candidates are taught together."""

from eradio.study.cohorts import next_rung


def test_one_by_one_a_survivor_goes_on_at_once():
    assert next_rung([0, 0, 1], size=1, more=True) == 2
    assert next_rung([0, 0, 0], size=1, more=True) == 0
    assert next_rung([0, 0, 0], size=1, more=False) is None


def test_survivors_wait_for_a_whole_cohort():
    assert next_rung([0, 3, 1], size=4, more=True) == 0
    assert next_rung([0, 4, 1], size=4, more=True) == 1
    assert next_rung([0, 4, 4], size=4, more=True) == 2


def test_at_the_end_the_shortest_rung_comes_first_so_that_its_survivors_join_the_others():
    assert next_rung([2, 3, 1], size=4, more=False) == 0
    assert next_rung([0, 3, 1], size=4, more=False) == 1
    assert next_rung([0, 0, 1], size=4, more=False) == 2
