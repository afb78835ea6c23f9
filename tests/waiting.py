"""Waiting for what other processes do: as long as it takes, up to a time that means it never will."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(found: Callable[[], T], seconds: float = 60.0, every: float = 0.05) -> T:
    """The first answer of `found` that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds; the last answer was {answer!r}"
        time.sleep(every)
    return answer
