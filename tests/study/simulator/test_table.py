"""Reading, refusing and packing recorded tables."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.search_space import SearchSpace
from eradio.study.simulator.table import Header, read_table, shipped_table

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
import pack_table


def test_a_table_says_what_it_holds(table):
    assert (table.rungs, table.engines, table.size, len(table.members)) == ((10, 30, 90), ("cpu", "other"), 12, 12)
    assert list(table.members) == sorted(table.members)
    losses, costs = zip(*table.points("cpu"), strict=True)
    assert table.reference("cpu") == pytest.approx(
        (max(losses) + 0.1 * (max(losses) - min(losses)), max(costs) + 0.1 * (max(costs) - min(costs)))
    )
    assert table.hypervolume("cpu") > 0


def test_a_line_that_is_being_written_is_left_out(rows, tmp_path, table):
    path = tmp_path / "ladder.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + '{"digest": "ab', encoding="utf-8")
    assert read_table(path) == table


def test_packed_or_not_a_table_is_the_same(tmp_path, table):
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "ladder.jsonl").read_bytes()))
    assert read_table(packed) == table


def test_lines_alone_need_to_be_told_their_space(rows, table_of, tmp_path, table):
    with pytest.raises(EradioError, match="does not say which space"):
        table_of(rows[1:])
    assert read_table(tmp_path / "ladder.jsonl", header=Header.parse(rows[0], "here")) == table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one["rungs"].pop(30), "has no rung 30, which others have"),
        (lambda one: one["images_per_second"].pop("cpu"), "has no engine cpu"),
        (lambda one: one.pop("rungs"), "no rung 10, no rung 30, no rung 90"),
        (lambda one: one.pop("parameters"), "line 4: 'parameters' is missing"),
    ],
)
def test_a_member_that_lacks_what_others_have_is_refused(rows, table_of, change, words):
    change(rows[3])
    with pytest.raises(EradioError, match=words):
        table_of(rows)


def test_what_is_no_table_is_refused(rows, table_of, tmp_path):
    with pytest.raises(EradioError, match="line 2 is not a JSON object"):
        table_of([rows[0], 3])
    with pytest.raises(EradioError, match="holds no member that was taught"):
        table_of(rows[:1])
    with pytest.raises(EradioError, match="Cannot read the table"):
        read_table(tmp_path / "none.jsonl")


def test_packing_again_gives_the_same_bytes(rows, tmp_path, table):
    (tmp_path / "more.jsonl").write_text(json.dumps(rows[2]) + "\n", encoding="utf-8")
    once = pack_table.packed([tmp_path / "ladder.jsonl"], None)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(once)
    assert pack_table.packed([packed, tmp_path / "more.jsonl"], None) == once
    read = read_table(packed)
    assert list(read.members) == list(table.members)
    for name, member in table.members.items():
        assert read.members[name].rungs[90].loss == pytest.approx(member.rungs[90].loss, rel=1e-5)


def test_the_shipped_table_is_of_its_space():
    table = read_table(shipped_table())
    assert (table.header.space, table.rungs, table.engines) == ("tiny_grid", (30, 90, 270), ("eager", "openvino"))
    space = SearchSpace.named("tiny_grid")
    members = {member.digest(): member for member in space.members()}
    assert table.members.keys() <= members.keys()
    for name in list(table.members)[:20]:
        assert space.encode(members[name]) == table.members[name].parameters
