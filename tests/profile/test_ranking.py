from hypothesis import given
from hypothesis import strategies as st

from eradio.interval import Interval
from eradio.profile.ranking import ranks

intervals = st.tuples(st.floats(0.1, 10), st.floats(0, 1)).map(
    lambda pair: Interval(value=pair[0], low=pair[0] * (1 - pair[1] / 2), high=pair[0] * (1 + pair[1] / 2))
)


def test_overlapping_intervals_share_their_places():
    fast, middle, near, slow = (
        Interval(value=value, low=value - 0.5, high=value + 0.5) for value in (9.0, 5.0, 4.5, 1.0)
    )
    assert [rank.words() for rank in ranks([slow, near, fast, middle])] == ["4", "2-3", "1", "2-3"]


@given(st.lists(intervals, min_size=1, max_size=8))
def test_a_network_is_put_before_another_only_where_their_intervals_do_not_meet(some):
    found = ranks(some)
    for one, first in zip(some, found, strict=True):
        assert 1 <= first.best <= first.worst <= len(some)
        for other, second in zip(some, found, strict=True):
            if one.overlaps(other):
                assert not (first.worst < second.best)
            else:
                assert (one.low > other.high) == (first.best <= second.best and first.worst <= second.worst)
