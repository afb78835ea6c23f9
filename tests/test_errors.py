"""What an error says of memory."""

from eradio.errors import memory_was_short


def test_an_error_that_follows_from_a_want_of_memory_says_so():
    error = RuntimeError("no engine")
    error.__context__ = MemoryError()
    assert memory_was_short(error)
    assert memory_was_short(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not memory_was_short(RuntimeError("no such kernel"))


def test_an_error_that_leads_back_to_itself_has_an_end():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__context__, second.__context__ = second, first
    assert not memory_was_short(first)
