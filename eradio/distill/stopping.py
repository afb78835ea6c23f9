"""Signals that ask a run to keep what it has done and end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""What clusters send before they take a machine away: Kubernetes and systemd the first, Slurm's --signal the second."""


class StoppedError(Exception):
    """The run was asked to stop, and what it has done is kept: so many steps, or all that was before the first one."""

    def __init__(self, step: int = 0) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step


class AskedError(BaseException):
    """Raised wherever the run is: no Exception, which somebody may take for a failure of what they tried."""


class Stop:
    """Whether such a signal came."""

    def __init__(self) -> None:
        self._number = 0
        self._noting = False

    def __call__(self) -> int:
        """Its number, or 0."""
        return self._number

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Meanwhile a signal is only noted, so that what is under way can be kept; at other times it ends the run."""
        self._noting = True
        try:
            yield
        finally:
            self._noting = False

    @contextmanager
    def ending(self) -> Iterator[Callable[..., None]]:
        """Meanwhile a signal ends what is under way at once, since none of it can be kept, also within `noting`; what
        a library makes of that is no error.

        Yields:
            What raises the same where a library kept it to itself, whatever it is told.

        Raises:
            StoppedError: one came, now or before.
        """
        before = self._noting
        try:
            try:
                self._noting = False
                self._look()
                yield self._look
            finally:
                self._noting = before
        except AskedError:
            raise StoppedError from None
        except Exception:
            # A library that calls back into Python may make another error of what was raised there.
            if self._number:
                raise StoppedError from None
            raise

    def _look(self, *_: object) -> None:
        if self._number:
            raise StoppedError

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        self._number = number
        if not self._noting:
            raise AskedError


@contextmanager
def stopping() -> Iterator[Stop]:
    """Meanwhile such signals do not end the process as they would.

    Raises:
        StoppedError: one came while nothing was under way that had to be kept.
    """
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in SIGNALS}
    try:
        yield stop
    except AskedError:
        raise StoppedError from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
