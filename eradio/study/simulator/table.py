"""The recorded table: what each member of a space costs and how well it does at every rung.

`benchmarks/record_curves.py` records it, a line of JSON a member; `tools/pack_table.py` packs the lines into the file
that is shipped, whose first line says which space, and what a step of the teachers takes.
"""

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from eradio.description import Description
from eradio.errors import EradioError
from eradio.front import hypervolume
from eradio.search_space import SearchSpace

_BEHIND = 0.1
"""How far behind the table's worst point the reference stands, in parts of the range."""


class Rung(Description):
    """What a member's training had come to after so many steps."""

    loss: float
    seconds: float = Field(ge=0)
    """Of the student alone, since the rung before."""
    parts: dict[str, float] = Field(default_factory=dict)
    """The loss by head."""


class Member(Description):
    """One network of the space."""

    network: str = Field(alias="digest")
    """The architecture's digest."""
    parameters: dict[str, int | float | str | bool]
    images_per_second: dict[str, tuple[float, float, float]]
    """By engine: the value, and the ends of its 95 % interval."""
    rungs: dict[int, Rung] = Field(default_factory=dict)
    reason: str | None = None
    """Why there are no rungs: the training diverged."""

    def throughput(self, engine: str) -> float:
        """Images a second on an engine."""
        return self.images_per_second[engine][0]


class Header(Description):
    """What all members of a table share."""

    space: str
    teacher_seconds: float = Field(ge=0)
    """What one step of the teachers takes, which a cohort shares."""


class Table(Description):
    """A space's recorded members, in the order of their digests."""

    header: Header
    rungs: tuple[int, ...]
    engines: tuple[str, ...]
    members: dict[str, Member]

    @cached_property
    def space(self) -> SearchSpace:
        """The space that was recorded."""
        return SearchSpace.named(self.header.space)

    @cached_property
    def size(self) -> int:
        """How many members the space has, recorded or not."""
        return self.space.count()

    def points(self, engine: str) -> list[tuple[float, float]]:
        """Final loss and negated throughput of all that were taught."""
        taught = (member for member in self.members.values() if member.rungs)
        return [(member.rungs[self.rungs[-1]].loss, -member.throughput(engine)) for member in taught]

    def reference(self, engine: str) -> tuple[float, float]:
        """A tenth of the whole table's range behind its worst loss and its worst negated throughput."""
        losses, costs = zip(*self.points(engine), strict=True)
        return _behind(losses), _behind(costs)

    def hypervolume(self, engine: str) -> float:
        """Of the whole table's front: what no search can exceed."""
        return hypervolume(self.points(engine), self.reference(engine))


def shipped_table() -> Path:
    """The table that comes with the package, of the space `tiny_grid`."""
    return Path(__file__).with_name("tiny_grid.jsonl.gz")


def whole_lines(path: Path) -> list[bytes]:
    """Of a file, packed or not, that a process may be writing, or was when it ended.

    Raises:
        EradioError: the file cannot be read.
    """
    try:
        packed = path.read_bytes()
        plain = gzip.decompress(packed) if path.suffix == ".gz" else packed
    except (OSError, EOFError) as error:
        raise EradioError(f"Cannot read the table {path}: {error}. Check the path.") from None
    return [line for line in plain.splitlines(keepends=True) if line.endswith(b"\n")]


def read_table(*paths: Path, header: Header | None = None) -> Table:
    """A recorded table, whole or not.

    Args:
        paths: files of lines, `.jsonl` or `.jsonl.gz`; a member is taken from the first that has it.
        header: what the members share, where no file's first line says it.

    Raises:
        EradioError: a file cannot be read or holds no members, or a member lacks a rung or an engine of another's.
    """
    members: dict[str, Member] = {}
    for path in paths:
        for number, line in enumerate(whole_lines(path), 1):
            plain = _parsed(line, f"{path}, line {number}")
            if "space" in plain:
                header = header or Header.parse(plain, f"{path}, line {number}")
            elif plain.get("digest") not in members:
                member = Member.parse(plain, f"{path}, line {number}")
                members[member.network] = member
    where = ", ".join(map(str, paths))
    if header is None:
        raise EradioError(f"{where} does not say which space was recorded; pack it with tools/pack_table.py.")
    taught = [member for member in members.values() if member.rungs]
    if not taught:
        raise EradioError(f"{where} holds no member that was taught. Record some with benchmarks/record_curves.py.")
    rungs = tuple(sorted({steps for member in taught for steps in member.rungs}))
    engines = tuple(sorted({engine for member in taught for engine in member.images_per_second}))
    for member in members.values():
        _refuse_incomplete(member, rungs, engines, where)
    return Table(header=header, rungs=rungs, engines=engines, members=dict(sorted(members.items())))


def _behind(values: tuple[float, ...]) -> float:
    return max(values) + _BEHIND * (max(values) - min(values))


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        plain = json.loads(line)
    except ValueError:
        plain = None
    if not isinstance(plain, dict):
        raise EradioError(f"{where} is not a JSON object. Record or pack the table again.")
    return plain


def _refuse_incomplete(member: Member, rungs: tuple[int, ...], engines: tuple[str, ...], where: str) -> None:
    lacking = [f"engine {engine}" for engine in engines if engine not in member.images_per_second]
    if member.reason is None:
        lacking += [f"rung {steps}" for steps in rungs if steps not in member.rungs]
    if lacking:
        raise EradioError(
            f"{where}: member {member.network} has no {', no '.join(lacking)}, which others have; record it again."
        )
