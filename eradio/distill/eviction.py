"""What a folder of cached targets holds, and making room in it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from eradio.distill.cache import ENTRY
from eradio.errors import EradioError
from eradio.files import read_json


@dataclass(frozen=True)
class Entry:
    """One entry of a cache: pictures, or a teacher's answers to them."""

    folder: Path
    what: str
    size: int
    """Bytes."""
    pages: int
    used: datetime


def entries(folder: Path) -> list[Entry]:
    """What a cache holds, the last used first.

    Raises:
        EradioError: the folder is no cache of targets.
    """
    found = []
    for facts in folder.glob(f"*/{ENTRY}"):
        files = [path.stat().st_size for path in facts.parent.glob("*.safetensors")]
        used = datetime.fromtimestamp(facts.stat().st_mtime, UTC)
        found.append(Entry(facts.parent, read_json(facts)["what"], sum(files), len(files), used))
    if not found and not folder.is_dir():
        raise EradioError(
            f"{folder} holds no cached targets. Give the folder 'targets' of a run, or that of --targets."
        )
    return sorted(found, key=lambda one: one.used, reverse=True)


def entries_table(found: Sequence[Entry]) -> Table:
    """The same for a terminal."""
    table = Table("entry", "what", "pages", "GB", "last used")
    for one in found:
        used = f"{one.used:%Y-%m-%d %H:%M} UTC"
        table.add_row(one.folder.name, one.what, str(one.pages), f"{one.size / 1e9:.3f}", used)
    return table


def evict(folder: Path, keep: int) -> list[Entry]:
    """Remove the entries that were used least lately until the rest takes no more than `keep` bytes.

    A run that needs a removed one computes it anew.

    Returns:
        What was removed.

    Raises:
        EradioError: the folder is no cache of targets.
    """
    found, removed = entries(folder), []
    total = sum(entry.size for entry in found)
    while found and total > keep:
        entry = found.pop()
        shutil.rmtree(entry.folder, ignore_errors=True)
        removed.append(entry)
        total -= entry.size
    return removed
