"""Pictures in tar files, as img2dataset writes DataComp and LAION for WebDataset.

How many pictures a shard has is told by the file that img2dataset wrote beside it, or counted; where they are is found
when the shard is first read, and remembered. So any picture can be read by itself: the schedule stays a pure function,
a run goes on in the middle of an epoch, and every process reads its own pictures and no others. Members that belong to
a picture (captions, metadata) are left alone, and nothing is ever unpickled.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eradio.description import digest_of
from eradio.distill.decode import Pixels, endings, opened, read_picture
from eradio.distill.shard_files import local, told_of
from eradio.errors import EradioError
from eradio.files import cache_folder, write_atomically
from eradio.locks import locked

Index = NDArray[np.int64]
"""[n, 2] where each picture of a shard begins and how many bytes it has."""

_AT_ONCE = 16
"""Shards that are asked after at a time."""

_OPEN = 256
"""Indices that a process holds: several windows of an epoch's order."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Shards:
    """Pictures of several tar files, one shard after another.

    Raises:
        EradioError: a shard is missing, or is no tar file, or there is no picture in any.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.place = names[0] + (f" and {len(names) - 1} more shards" if len(names) > 1 else "")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(_looked_at, names))
        if not any(one.pictures for one in found):
            raise EradioError(f"There is no picture in {self.place}. Give shards that img2dataset wrote.")
        self._names = [name for name, one in zip(names, found, strict=True) if one.pictures]
        self.sizes = [one.pictures for one in found if one.pictures]
        self._ends = np.cumsum(self.sizes)
        self.digest = digest_of([[Path(name).name, one.digest] for name, one in zip(names, found, strict=True)])

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
        name = self._names[shard]
        try:
            return _member(name, place)
        except FileNotFoundError:
            if "://" not in name:
                raise
            return _member(name, place)  # another process made room just now; it is fetched again

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


class _Found(NamedTuple):
    """What is known of a shard before it is read."""

    pictures: int
    digest: str


def _looked_at(name: str) -> _Found:
    """What was written beside a shard, or what is in it."""
    if "://" not in name and not local(name).exists():
        raise EradioError(f"There is no shard {name} (No such file or directory). Check 'path' in the recipe.")
    told = told_of(name)
    try:
        known = None if told is None else json.loads(told)["successes"]
    except (ValueError, KeyError, TypeError):
        known = None
    if isinstance(known, int) and told is not None:
        return _Found(known, hashlib.sha256(told).hexdigest())
    index = _index(name)
    return _Found(len(index), hashlib.sha256(index.tobytes()).hexdigest())


def _member(name: str, place: int) -> bytes:
    """The bytes of a shard's picture.

    Raises:
        LookupError: it has fewer pictures than was said.
    """
    offset, size = _remembered(name)[place]
    with local(name).open("rb") as file:
        file.seek(int(offset))
        return file.read(int(size))


@lru_cache(_OPEN)
def _remembered(name: str) -> Index:
    return _index(name)


def _index(name: str) -> Index:
    """Where a shard's pictures are, remembered beside the user's other measurements and mapped into memory."""
    path = local(name)
    stat = path.stat()
    kept = cache_folder() / "indices" / f"{digest_of([str(path.resolve()), stat.st_size, stat.st_mtime_ns])}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with locked(kept.with_suffix(".lock")):  # the processes of a host look through each shard once
            if not kept.exists():
                scanned = _scan(path, name)
                write_atomically(kept, lambda temporary: _save(temporary, scanned))
    return np.asanyarray(np.load(kept, mmap_mode="r", allow_pickle=False))


def _save(path: Path, index: Index) -> None:
    with path.open("wb") as file:
        np.save(file, index)


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
