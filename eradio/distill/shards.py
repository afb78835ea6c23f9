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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple
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

_AT_ONCE = 16
"""Shards whose headers are read, or that are fetched, at a time."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Shards:
    """Pictures of several tar files, one shard after another.

    Raises:
        EradioError: a shard is missing, or is no tar file, or there is no picture in any.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.place = names[0] + (f" and {len(names) - 1} more shards" if len(names) > 1 else "")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(_index, names))
        if not any(one.pictures for one in found):
            raise EradioError(f"There is no picture in {self.place}. Give shards that img2dataset wrote.")
        self._names = [name for name, one in zip(names, found, strict=True) if one.pictures]
        self.sizes = [one.pictures for one in found if one.pictures]
        self._ends = np.cumsum(self.sizes)
        self.digest = digest_of([[Path(name).name, one.digest] for name, one in zip(names, found, strict=True)])
        self._places = _joined([one for one in found if one.pictures])

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
        shard, _ = self._where(number)
        offset, size = self._places[number]
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


class _Found(NamedTuple):
    """The index of one shard."""

    file: Path
    pictures: int
    digest: str


def _index(name: str) -> _Found:
    """Where a shard's pictures are, remembered beside the user's other measurements."""
    path = local(name)
    try:
        stat = path.stat()
    except OSError as error:
        raise EradioError(f"There is no shard {name} ({error.strerror}). Check 'path' in the recipe.") from None
    kept = cache_folder() / "indices" / f"{digest_of([str(path.resolve()), stat.st_size, stat.st_mtime_ns])}.npy"
    if not kept.exists():
        scanned = _scan(path, name)
        _keep(kept, [scanned], len(scanned))
    index = np.load(kept, mmap_mode="r", allow_pickle=False)
    return _Found(kept, len(index), hashlib.sha256(index.tobytes()).hexdigest())


def _joined(shards: Sequence[_Found]) -> Index:
    """All indices as one, mapped into memory, so that processes of one host share it and none holds it."""
    kept = shards[0].file.parent / f"joined-{digest_of([one.file.stem for one in shards])}.npy"
    if not kept.exists():
        _keep(kept, (np.load(one.file, allow_pickle=False) for one in shards), sum(one.pictures for one in shards))
    return np.asanyarray(np.load(kept, mmap_mode="r", allow_pickle=False))


def _keep(path: Path, parts: Iterable[Index], rows: int) -> None:
    """Write an index of so many rows, part by part."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            shape = {"descr": "<i8", "fortran_order": False, "shape": (rows, 2)}
            np.lib.format.write_array_header_1_0(file, shape)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype="<i8").tobytes())

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


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
