"""Signals that ask a run to keep what it has done and end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""What clusters send before they take a machine away: Kubernetes and systemd the first, Slurm's --signal the second."""


@contextmanager
def stopping() -> Iterator[Callable[[], int]]:
    """Meanwhile such a signal is only noted; gives what returns its number, or 0."""
    noted = [0]

    def note(number: int, frame: FrameType | None) -> None:
        noted[0] = number

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: noted[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
