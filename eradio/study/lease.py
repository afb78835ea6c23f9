"""Who holds a running trial, and whether it still does: the same on every storage.

A worker beats: it counts up a number in each of its trials. Whether a number still moves is judged by the clock of
whoever looks, so that no two clocks are ever compared; and time in which nobody could look, such as a database's
restart, counts against nobody. On the worker's own machine its death is seen at once.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from eradio.description import Description

BEATS = 6
"""In the time of a lease."""

Clock = Callable[[], float]


def elapsed() -> float:
    """Seconds of a clock that goes on while the process, or the machine, is paused."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Owner(Description):
    """A worker, told from all others on all machines, also from one that later gets its process's number."""

    host: str
    boot: str
    """Of this start of the machine, and of this container: where process numbers mean the same."""
    pid: int
    born: int
    """Clock ticks between the machine's start and its own."""
    name: str
    """Tells it from others in its process, of which tests and simulations have several."""

    @classmethod
    def this(cls) -> Self:
        """Another worker in the calling process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), boot=_boot(), pid=pid, born=_born(pid) or 0, name=secrets.token_hex(4))

    def known_dead(self) -> bool:
        """Whether it ran where the caller runs, and does no more."""
        return self.boot == _boot() and _born(self.pid) != self.born

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Lease(Description):
    """What stands in a trial while somebody works on it."""

    owner: Owner
    attempt: int
    """1 for the first; a candidate whose trial was lost is tried again in another trial."""
    beat: int
    rung: int = 0
    """That the training was on its way to when this attempt took it up, in steps; 0 if it has not."""
    since: int = 0
    """Training steps that were done then. A longer rung begins where a shorter one began to decay, so at fewer."""
    step: int = 0
    """Training steps done."""


class Watch:
    """Looks at leases from time to time, and says which have run out.

    Args:
        seconds: without a beat after which a lease has run out.
        clock: in seconds.
    """

    def __init__(self, seconds: float, clock: Clock = elapsed) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: float | None = None
        self._seen: dict[tuple[str, int], tuple[int | None, float]] = {}

    def run_out(self, leases: Iterable[tuple[tuple[str, int], Lease | None]]) -> list[tuple[str, int]]:
        """Look once.

        Args:
            leases: of all running trials, by study and number; None for one whose worker has not written any yet.

        Returns:
            those whose holder is dead, or gave no sign of life for as long as somebody looked.
        """
        now = self._clock()
        # Whoever looks seldom, or could not look for a while, has not seen that nothing moved meanwhile.
        since = 0.0 if self._last is None else min(now - self._last, self._seconds / 2)
        self._last = now
        seen: dict[tuple[str, int], tuple[int | None, float]] = {}
        out = []
        for trial, lease in leases:
            beat = None if lease is None else lease.beat
            before, still = self._seen.get(trial, (beat, 0.0))
            seen[trial] = (beat, still + since if trial in self._seen and before == beat else 0.0)
            if seen[trial][1] >= self._seconds or (lease is not None and lease.owner.known_dead()):
                out.append(trial)
        self._seen = seen
        return out


class Beating:
    """Meanwhile, calls `beat` again and again in a thread of its own; it fails while a database is away, and may."""

    def __init__(self, beat: Callable[[], None], seconds: float) -> None:
        self._beat = beat
        self._every = seconds / BEATS
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(self._every)

    def _run(self) -> None:
        while not self._done.wait(self._every):
            self._beat()


def _boot() -> str:
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start[:8]}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> int | None:
    """None for a process that has ended, also if nobody has taken note of its end yet."""
    try:
        fields = (
            Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
