"""The one exception whose text is meant for the user."""

import re
import sys
from contextlib import suppress

_SHORT = re.compile(
    r"out of memory|not enough memory|(can't|cannot|could not|failed to|unable to) allocate|bad_alloc|alloc\w* fail"
    r"|memory exhausted|can't start new thread|thread creation failed",  # a thread's stack is memory too
    re.IGNORECASE,
)


class EradioError(Exception):
    """Something the user can mend.

    The text is one sentence or two: what was wrong, where, and what to do. The command line prints it as it
    stands, without a traceback, and exits with a non-zero status.
    """


class NetworkError(EradioError):
    """A network does not take what it is given, or cannot be built: its own failure, and no other network's."""


class BuildError(NetworkError):
    """An engine cannot run a network, or computes something else with it."""


class MachineError(EradioError):
    """The machine refused (no room, no permission, a lock that is not given back): no network is to blame."""


class PassingError(MachineError):
    """Something that passes by itself: the same call may well succeed a little later."""


class NoMemoryError(PassingError):
    """The machine has no memory for what it has room for at other times."""


class StorageDownError(PassingError):
    """The study's storage does not answer at the moment."""


def complain(text: str) -> None:
    """Say on standard error what went wrong; where that cannot be written either, the exit status has to say it."""
    with suppress(OSError):
        print(f"eradio: {text}", file=sys.stderr, flush=True)


def networks_own(error: Exception) -> bool:
    """Whether what went wrong while teaching is the network's failure, so that all else goes on without it."""
    return isinstance(error, NetworkError) or not isinstance(error, EradioError | OSError)


def memory_was_short(error: BaseException) -> bool:
    """Whether an error, or what led to it, says so: libraries say it with any class, and an engine may leave it out."""
    one: BaseException | None = error
    seen: set[int] = set()  # an error that is raised again may lead back to itself
    while one is not None and id(one) not in seen:
        if isinstance(one, MemoryError) or short_of_memory(str(one)):
            return True
        seen.add(id(one))
        one = one.__cause__ or one.__context__
    return False


def short_of_memory(text: str) -> bool:
    """Whether what a library said is that there was no memory."""
    return _SHORT.search(text) is not None
