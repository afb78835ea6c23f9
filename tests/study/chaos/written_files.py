"""Who wrote which file when, as the kernel tells it: every renaming into some folders, with the writer's number.

A file of ours appears by renaming one whose name holds the number of the process that wrote it.
"""

import ctypes
import os
import re
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_MOVED_FROM, _MOVED_TO, _OVERFLOWN = 0x40, 0x80, 0x4000
_EVENT = struct.Struct("iIII")
_TEMPORARY = re.compile(r"^\..+\.(?P<pid>\d+)@.+\.tmp$")
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Written:
    """One file that appeared, or was replaced."""

    folder: str
    """Its name, without its own folder's."""
    name: str
    pid: int
    when: float
    """In seconds of the system's clock."""


class WrittenFiles:
    """Meanwhile, notes every file that appears in some folders.

    Args:
        folders: that exist already.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.found: list[Written] = []
        self.overflown = False
        self._handle = _LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._folders: dict[int, str] = {}
        for folder in folders:
            watch = _LIBC.inotify_add_watch(self._handle, os.fsencode(folder), _MOVED_FROM | _MOVED_TO)
            if watch < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
            self._folders[watch] = folder.name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._read()
        os.close(self._handle)

    def _run(self) -> None:
        while not self._done.wait(0.02):
            self._read()

    def _read(self) -> None:
        try:
            content = os.read(self._handle, 1 << 20)
        except BlockingIOError:
            return
        at, sources = 0, {}
        while at < len(content):
            watch, mask, cookie, length = _EVENT.unpack_from(content, at)
            name = content[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0").decode()
            at += _EVENT.size + length
            self.overflown |= bool(mask & _OVERFLOWN)
            if mask & _MOVED_FROM:
                sources[cookie] = name
            elif mask & _MOVED_TO and (match := _TEMPORARY.match(sources.pop(cookie, ""))):
                self.found.append(Written(self._folders[watch], name, int(match["pid"]), time.time()))
