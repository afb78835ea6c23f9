"""Processes of this machine as data: named so that a number used again is never mistaken, signalled without a race."""

import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, Self

from eradio.description import Description

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class ProcessIdentity(Description):
    """One process, told apart from every other that has or will have its number.

    Numbers are unique only within one boot and one namespace (each container has its own); the start time tells apart
    those that follow each other.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int
    """Clock ticks since the machine started."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of a process of this machine, also of one that has ended and was not collected; else None."""
        found = _read(pid)
        return None if found is None else cls(**_here(), pid=pid, started=found[1])

    def state(self) -> Literal["alive", "gone", "elsewhere"]:
        """Whether it is alive, or this process cannot see it from here."""
        here = _here()
        if self.host != here["host"]:
            return "elsewhere"
        if self.boot != here["boot"]:
            return "gone"
        if self.namespace != here["namespace"]:
            return "elsewhere"
        found = _read(self.pid)
        return "alive" if found is not None and found[1] == self.started and found[0] not in "ZX" else "gone"

    def handle(self) -> int | None:
        """A file handle of it (close it) that becomes readable when it ends, or None if it is not alive here."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return None
        if self.state() == "alive":
            return handle
        os.close(handle)
        return None


def tell(processes: Sequence[ProcessIdentity], number: int, seconds: float) -> list[ProcessIdentity]:
    """Send a signal to those that are alive here, wait for up to `seconds`, and return those that did not end."""
    with ExitStack() as stack:
        open_ones: dict[int, ProcessIdentity] = {}
        for process in processes:
            if (handle := process.handle()) is not None:
                stack.callback(os.close, handle)
                open_ones[handle] = process
        for handle in open_ones:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        waiting, deadline = select.poll(), time.monotonic() + seconds
        for handle in open_ones:
            waiting.register(handle, select.POLLIN)
        while open_ones and (left := deadline - time.monotonic()) > 0:
            for handle, _ in waiting.poll(left * 1000):
                waiting.unregister(handle)
                del open_ones[handle]
        return list(open_ones.values())


def end_with_parent(parent: int, number: int) -> None:
    """Have the kernel send this process a signal when the process `parent`, which started it, ends in any way.

    Raises:
        ProcessLookupError: it has ended already.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        raise ProcessLookupError(f"process {parent} has ended")


def _here() -> dict[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return {"host": socket.gethostname(), "boot": boot, "namespace": os.readlink("/proc/self/ns/pid")}


def _read(pid: int) -> tuple[str, int] | None:
    """A process's state, as a letter, and its start time in clock ticks; None if there is none."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name, in brackets, may hold spaces and brackets itself
    return fields[0], int(fields[19])
