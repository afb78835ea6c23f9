"""Making much that stays."""

import gc

import pytest

from eradio.collecting import uncollected


def test_garbage_is_looked_for_again_afterwards_even_if_it_went_wrong():
    seen = []

    @uncollected()
    def fail() -> None:
        seen.append(gc.isenabled())
        raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert [*seen, gc.isenabled()] == [False, True]


def test_a_search_that_was_off_stays_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_left_at_the_end_is_not_looked_at_again():
    before = gc.get_freeze_count()
    try:
        with uncollected(to_the_end=True):
            pass
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
