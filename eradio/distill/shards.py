"""Pictures in tar files, as img2dataset writes DataComp and LAION for WebDataset.

A shard's members are found once and remembered, so any picture can be read by itself: the schedule stays a pure
function, a run goes on in the middle of an epoch, and every process reads its own pictures and no others. Members that
belong to a picture (captions, metadata) are left alone, and nothing is ever unpickled.
"""

import hashlib
import http.client
import io
import re
import tarfile
import urllib.request
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from eradio.description import digest_of
from eradio.distill.decode import Pixels, endings, opened, read_picture
from eradio.errors import EradioError
from eradio.files import cache_folder, write_atomically
from eradio.locks import locked

Index = NDArray[np.int64]
"""[n, 2] where each picture of a shard begins and how many bytes it has."""

_PATIENCE_SECONDS = 60.0

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Shards:
    """Pictures of several tar files, one shard after another.

    Raises:
        EradioError: a shard is missing, or is no tar file, or there is no picture in any.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self.place = self._names[0] + (f" and {len(names) - 1} more shards" if len(names) > 1 else "")
        indices = [_index(local(name), name) for name in self._names]
        self._names = [name for name, index in zip(names, indices, strict=True) if len(index)]
        self._indices = [index for index in indices if len(index)]
        self.sizes = [len(index) for index in self._indices]
        self._ends = np.cumsum(self.sizes)
        if not self.sizes:
            raise EradioError(f"There is no picture in {self.place}. Give shards that img2dataset wrote.")

    @cached_property
    def digest(self) -> str:
        """Of the shards' names and of where their pictures lie."""
        parts = zip(self._names, self._indices, strict=True)
        return digest_of(
            [[name.rpartition("/")[2], hashlib.sha256(index.tobytes()).hexdigest()] for name, index in parts]
        )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def name(self, number: int) -> str:
        """The shard and the place within it."""
        shard, place = self._where(number)
        return f"{self._names[shard]}:{place}"

    def read(self, number: int) -> Pixels:
        """Picture `number` as [H, W, 3]."""
        return read_picture(io.BytesIO(self._bytes(number)))

    def look(self, number: int) -> None:
        """Open its header."""
        with opened(io.BytesIO(self._bytes(number))):
            pass

    def _bytes(self, number: int) -> bytes:
        shard, place = self._where(number)
        offset, size = self._indices[shard][place]
        with local(self._names[shard]).open("rb") as file:
            file.seek(int(offset))
            return file.read(int(size))

    def _where(self, number: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return shard, number - int(self._ends[shard]) + self.sizes[shard]


def list_shards(pattern: str) -> list[str]:
    """The shards that a path or URL names: a folder, a file, or `.../{00000..00099}.tar`.

    Raises:
        EradioError: there is none.
    """
    if match := _RANGE.search(pattern):
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        if not numbers:
            raise EradioError(f"{pattern} names no shard: its range ends before it begins.")
        return [f"{pattern[: match.start()]}{one:0{len(first)}d}{pattern[match.end() :]}" for one in numbers]
    path = Path(pattern).expanduser()
    found = sorted(map(str, path.rglob("*.tar"))) if path.is_dir() else [pattern]
    if not found:
        raise EradioError(f"The folder {path} holds no shard (*.tar). Give the folder that img2dataset wrote.")
    return found


def local(name: str) -> Path:
    """Where a shard lies on this machine; one that is named by a URL is fetched once.

    Raises:
        EradioError: it is not there, or cannot be fetched.
    """
    if "://" not in name:
        return Path(name).expanduser()
    path = cache_folder() / "shards" / digest_of(name) / (Path(urlsplit(name).path).name or "shard.tar")
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            _fetch(name, path)
    return path


def _fetch(url: str, path: Path) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise EradioError(f"Shards are fetched by http or https, not from {url}. Mount it, or copy them here.")
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as source:
            told = source.headers.get("Content-Length")
            write_atomically(path, lambda temporary: _copy(source, temporary, None if told is None else int(told)))
    except (OSError, http.client.HTTPException) as error:
        raise EradioError(f"The shard {url} cannot be fetched ({error}). Check the address and the network.") from None


def _copy(source: IO[bytes], path: Path, wanted: int | None) -> None:
    with path.open("wb") as file:
        while block := _next(source):
            file.write(block)
        if wanted is not None and file.tell() != wanted:
            raise http.client.IncompleteRead(b"", wanted - file.tell())


def _next(source: IO[bytes]) -> bytes:
    try:
        return source.read(1 << 20)
    except OSError as error:  # the network's, not the disk's
        raise http.client.HTTPException(str(error)) from None


def _index(path: Path, name: str) -> Index:
    """Where a shard's pictures are, remembered beside the user's other measurements."""
    try:
        stat = path.stat()
    except OSError as error:
        raise EradioError(f"There is no shard {name} ({error.strerror}). Check 'path' in the recipe.") from None
    kept = cache_folder() / "indices" / f"{digest_of([str(path.resolve()), stat.st_size, stat.st_mtime_ns])}.npy"
    if kept.exists():
        return np.asarray(np.load(kept, allow_pickle=False), dtype=np.int64)
    index = _scan(path, name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, lambda temporary: _save(temporary, index))
    return index


def _scan(path: Path, name: str) -> Index:
    known, found = endings(), []
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isfile() and Path(member.name).suffix.lower() in known:
                    found.append((member.offset_data, member.size))
    except tarfile.ReadError as error:
        if not found:
            raise EradioError(f"The shard {name} is no tar file ({error}). Replace it, or leave it out.") from None
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _save(path: Path, index: Index) -> None:
    with path.open("wb") as file:
        np.save(file, index, allow_pickle=False)
