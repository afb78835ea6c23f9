"""Many replays, kept; and how they compare."""

import pytest

from eradio.study.simulator import Replay, Scenario
from eradio.study.simulator.compare import NEVER, area_after, compute_until, middle, shares
from eradio.study.simulator.runs import Method, replays


def test_what_is_kept_is_not_replayed_again(table, tmp_path):
    kept, told = tmp_path / "kept.jsonl", []
    method = Method(name="chance", scenario=Scenario(engine="cpu", sampler="random", candidates=4))

    def run(seeds):
        told.clear()
        found = replays(table, [method], range(seeds), kept, told=lambda name, done, all_: told.append((done, all_)))
        return found["chance"]

    first = run(2)
    assert told == [(1, 2), (2, 2)]
    kept.write_text(kept.read_text(encoding="utf-8") + '{"key": "ab', encoding="utf-8")
    again = run(3)
    assert told == [(1, 1)]
    assert again[:2] == first
    assert run(3) == again
    assert told == []


def made_up(compute, areas):
    return Replay(
        compute=compute,
        clock=compute,
        hypervolume=areas,
        finished=("a",) * len(compute),
        decided=(),
        spent=compute[-1],
        seconds=compute[-1],
        trials=3,
        deaths=0,
        recorded=1,
        size=1,
    )


def test_areas_and_costs_of_a_search():
    one, other = made_up((10, 20, 40), (0.2, 0.5, 0.9)), made_up((50, 100), (0.4, 0.5))
    assert [area_after(one, spent) for spent in (5, 10, 39, 99)] == [0, 0.2, 0.5, 0.9]
    assert compute_until(one, 0.5) == 20
    assert compute_until(other, 0.6) == float("inf")
    assert shares([one, other], [other, one]) == [0.2, float("inf")]


def test_a_middle_may_be_out_of_reach():
    assert middle([1.0, 2.0, 3.0]).value == 2
    assert middle([1.0] * 3 + [float("inf")] * 9).value == NEVER
    assert middle([5.0] * 9).high == pytest.approx(5)
