"""Where shards lie: on the disk, or fetched from a URL when they are first read, and removed when room is short."""

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.files import cache_folder, write_atomically
from eradio.locks import locked

_PATIENCE_SECONDS = 60.0
_WAITS = (1.0, 5.0, 25.0)
"""Seconds before another try, as networks fail for moments."""

_SPARED = 0.5
"""Part of the disk's room that fetched shards leave to others."""


def local(name: str) -> Path:
    """Where a file lies on this machine; one that is named by a URL is fetched, and kept while there is room.

    Raises:
        EradioError: it cannot be fetched.
    """
    if "://" not in name:
        return Path(name).expanduser()
    path = _folder() / digest_of(name) / (Path(urlsplit(name).path).name or "shard.tar")
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            _fetch(name, path)
            _make_room(path)
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # lately used
    return path


def told_of(name: str) -> bytes | None:
    """What img2dataset wrote beside a shard about it (`00000_stats.json`), or None where there is nothing.

    Raises:
        EradioError: it cannot be fetched, whether or not it is there.
        OSError: it cannot be read.
    """
    try:
        return local(f"{name.removesuffix('.tar')}_stats.json").read_bytes()
    except (FileNotFoundError, _AbsentError):
        return None


class _AbsentError(EradioError):
    """A server says that it has no such file."""


def _folder() -> Path:
    return cache_folder() / "shards"


def _make_room(new: Path) -> None:
    """Remove the shards that were not used for the longest time; whoever reads one of them goes on reading it."""
    shards = []
    for path in _folder().glob("*/*.tar"):
        with suppress(FileNotFoundError):  # another process makes room too
            stat = path.stat()
            shards.append((stat.st_atime, stat.st_size, path))
    held = sum(size for _, size, _ in shards)
    room = held + shutil.disk_usage(new.parent).free
    for _, size, path in sorted(shards):
        if held <= (1 - _SPARED) * room:
            return
        if path != new:
            held -= size
            path.unlink(missing_ok=True)


def _fetch(url: str, path: Path) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise EradioError(f"Shards are fetched by http or https, not from {url}. Mount it, or copy them here.")
    for wait in (*_WAITS, None):
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as source:
                write_atomically(path, partial(_copy, source))
                return
        except (OSError, http.client.HTTPException) as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else None
            if wait is None or (code is not None and code < 500):
                kind = _AbsentError if code in (403, 404, 410) else EradioError
                raise kind(f"The shard {url} cannot be fetched ({error}). Check the address and the network.") from None
            time.sleep(wait)


def _copy(source: http.client.HTTPResponse, path: Path) -> None:
    wanted = source.headers.get("Content-Length")
    with path.open("wb") as file:
        while block := _next(source):
            file.write(block)
        if wanted is not None and file.tell() != int(wanted):
            raise http.client.IncompleteRead(b"", int(wanted) - file.tell())


def _next(source: IO[bytes]) -> bytes:
    try:
        return source.read(1 << 20)
    except OSError as error:  # the network's, not the disk's
        raise http.client.HTTPException(str(error)) from None
