import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.scenes.draws import Draws, direction


def test_the_stream_goes_on_without_repeating():
    draws = Draws("long", 3)
    numbers = [draws.unit() for _ in range(1000)]
    assert len(set(numbers)) == 1000
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / 1000 == pytest.approx(0.5, abs=0.05)


def test_the_numbers_are_those_of_shake_256():
    last = struct.unpack("<96I", hashlib.shake_256(b"a/1/0").digest(384))[-1]
    assert Draws("a", 1).unit() == last / 2**32


def test_another_name_gives_another_stream():
    assert len({Draws(*name).unit() for name in [("a", 1), ("a", 2), ("b", 1), ("a", 1, 0)]}) == 4


@given(st.integers(1, 50), st.integers(0, 10**6))
def test_choices_stay_in_range(count, seed):
    draws = Draws("range", seed)
    assert 0 <= draws.below(count) < count
    assert -2 <= draws.between(-2, 3) < 3
    assert draws.one_of("xyz") in "xyz"


def test_a_quarter_turn_points_down():
    assert direction(0) == (1, 0)
    assert direction(0.25) == (0, 1)
    assert direction(0.125)[0] == pytest.approx(0.5**0.5, abs=1e-6)
