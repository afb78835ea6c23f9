import json

import pytest

from eradio.search_space import SearchSpace
from eradio.study.simulator.table import read_table

SPACE = """
name: ladder
stem: {width: [8]}
width: [8, 16, 24, 32]
stages:
  - {kind: [residual], factor: [1], depth: [1, 2, 3]}
"""
RUNGS = (10, 30, 90)


def row(space, member, rungs=RUNGS):
    """Wider and deeper is slower and, but for one in the middle, better; later rungs tell more."""
    width, depth = member.stages[0].width, member.stages[0].depth
    worth = width / 8 + depth / 2
    return {
        "digest": member.digest(),
        "parameters": space.encode(member),
        "images_per_second": {"cpu": [1000 / worth, 990 / worth, 1010 / worth], "other": [width, width, width]},
        "rungs": {steps: {"loss": 10 / worth + 10 / steps * (width % 3), "seconds": worth * steps} for steps in rungs},
    }


@pytest.fixture
def rungs():
    return RUNGS


@pytest.fixture
def rows(tmp_path, rungs):
    """Plain lines of a whole table: first what they share, then twelve members."""
    path = tmp_path / "ladder.yaml"
    path.write_text(SPACE, encoding="utf-8")
    space = SearchSpace.named(str(path))
    return [{"space": str(path), "teacher_seconds": 2.0}, *(row(space, member, rungs) for member in space.members())]


@pytest.fixture
def table_of(tmp_path):
    def write(rows):
        path = tmp_path / "ladder.jsonl"
        path.write_text("".join(f"{json.dumps(one)}\n" for one in rows), encoding="utf-8")
        return read_table(path)

    return write


@pytest.fixture
def table(rows, table_of):
    return table_of(rows)
