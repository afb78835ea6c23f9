"""Pack what benchmarks/record_curves.py recorded into the table that is shipped.

    python tools/pack_table.py FOLDER [FOLDER ...]

The lines of all files, and of the table shipped so far, become one file: sorted by digest, a member once, numbers with
six significant digits, of which no interval or loss fills four. What a step of the teachers takes is read from
teachers.json, which a recording writes, else kept as shipped. The same lines give the same bytes.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from eradio.errors import EradioError
from eradio.files import read_json, write_atomically
from eradio.study.simulator.table import Header, read_table, shipped_table

TEACHERS = "teachers.json"
SPACE = "tiny_grid"
DIGITS = 6


def rounded(plain: Any) -> Any:
    """Plain data with so many significant digits."""
    if isinstance(plain, float):
        return float(f"{plain:.{DIGITS}g}")
    if isinstance(plain, dict):
        return {key: rounded(value) for key, value in plain.items()}
    return [rounded(value) for value in plain] if isinstance(plain, list) else plain


def packed(paths: list[Path], header: Header | None) -> bytes:
    """The table of some files, in the form that is shipped."""
    table = read_table(*paths, header=header)
    rows = [table.header.model_dump(mode="json")]
    rows += [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in table.members.values()]
    lines = (json.dumps(rounded(row), separators=(",", ":"), allow_nan=False) for row in rows)
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def main(folders: list[Path], target: Path) -> None:
    """Pack all folders' files into the target, which may hold some already."""
    measured = [folder / TEACHERS for folder in folders if (folder / TEACHERS).exists()]
    header = Header(space=SPACE, teacher_seconds=rounded(read_json(measured[0])["seconds"])) if measured else None
    paths = [path for folder in folders for path in sorted(folder.glob(f"{SPACE}-*.jsonl"))]
    data = packed([*([target] if target.exists() else []), *paths], header)
    write_atomically(target, lambda temporary: temporary.write_bytes(data))
    table = read_table(target)
    print(f"{len(table.members)} of {table.size} members, {len(data):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        main([Path(one) for one in sys.argv[1:]], shipped_table())
    except EradioError as error:
        sys.exit(str(error))
