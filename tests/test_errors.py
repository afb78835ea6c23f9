"""What an error says of memory."""

import pytest

from eradio.errors import memory_was_short


def test_an_error_that_follows_from_a_want_of_memory_says_so():
    with pytest.raises(RuntimeError) as caught:
        try:
            raise MemoryError
        except MemoryError:
            raise RuntimeError("no engine") from None
    assert memory_was_short(caught.value)
    assert memory_was_short(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not memory_was_short(RuntimeError("no such kernel"))


def test_an_error_that_leads_back_to_itself_has_an_end():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__context__, second.__context__ = second, first
    assert not memory_was_short(first)
