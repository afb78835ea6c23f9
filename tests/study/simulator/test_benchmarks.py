"""The benchmarks on tables, on a small one."""

import pytest

from benchmarks import halving_on_table, search_on_table
from eradio.study.simulator import Scenario, replay


@pytest.fixture
def rungs():
    return (30, 90, 270)


def test_searches_are_compared(table, tmp_path, capsys):
    kept, source = tmp_path / "kept" / "runs.jsonl", tmp_path / "ladder.jsonl"
    search_on_table.main(kept, source, 2, "cpu", 1)
    first = capsys.readouterr().out
    assert "cpu, 2 seeds; the whole table" in first
    assert first.count("Aim:") == 3
    assert all(len(line) <= 100 for line in first.splitlines())
    search_on_table.main(kept, source, 2, "cpu", 1)
    again = capsys.readouterr().out
    assert again.splitlines() == [line for line in first.splitlines() if " of 24: " not in line]


def test_rules_are_compared(rows, table_of, tmp_path, capsys):
    table_of(rows[:10])
    halving_on_table.main(tmp_path / "runs.jsonl", tmp_path / "ladder.jsonl", 2, 1)
    out = capsys.readouterr().out
    assert "cpu, 2 seeds; partial table: 9 of 12; figures are not claims" in out
    assert all(f"{name} " in out for name in halving_on_table.JUDGES)


@pytest.mark.parametrize("name", ["greedy", "farthest", "first", "rounded up", "none of few", "whole front"])
def test_a_rule_decides(table, name):
    scenario = Scenario(engine="cpu", sampler="each", candidates=12, halving=halving_on_table.BASE)
    one = replay(table, scenario, halving_on_table.JUDGES[name])
    assert one.decided[0][0] == 12
    assert len(one.finished) < 12
    assert len(one.finished) == one.decided[1][1]
