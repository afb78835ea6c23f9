"""Which rule of halving serves best: who goes on from a rung, how many, and where the rungs stand.

Named alternative: the rule of `eradio.study.halving`. Searches by chance are replayed over the recorded table, one
candidate at a time and with a cohort's worth of teachers; only the rule differs. Each is given as the hypervolume after
a quarter of what chance without halving spends on a third of the members, in percent of the table's; and as the part of
that compute which it needs for the same hypervolume: medians over seeds with 95 % bootstrap intervals.

A table that is not whole is taken for the whole of a smaller space, from which chance draws without putting back.

Run: python benchmarks/halving_on_table.py FILE [--table TABLE] [--seeds 40] [--processes 1]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table as Rows

from eradio.front import Floats, hypervolume, ranks
from eradio.study.halving import Decision, Halving, standings
from eradio.study.simulator import Scenario, read_table, shipped_table
from eradio.study.simulator.compare import NEVER, area_after, middle, shares
from eradio.study.simulator.runs import Method, replays

BASE = Halving(rungs=(30, 90), reduction=3)


Order = Callable[[Floats, list[int]], list[int]]
"""In which order the points of one rank are taken."""


def decision(place: int, among: int, steps: int, quota: int) -> Decision:
    return Decision(steps=steps, goes_on=place < quota, place=place, among=among)


def by_rank(points: ArrayLike, own: int, within: Order) -> int:
    """The place of a point by its rank, and within the rank in an order of its own."""
    values = np.asarray(points, dtype=np.float64)
    rank = ranks(values)
    order = within(values, np.flatnonzero(rank == rank[own]).tolist())
    return int((rank < rank[own]).sum()) + order.index(own)


def most_area(values: Floats, peers: list[int]) -> list[int]:
    """Each time the point that adds most area to those taken before."""
    worst, best = values.max(axis=0), values.min(axis=0)
    reference = worst + 0.1 * np.where(worst > best, worst - best, 1.0)
    taken: list[int] = []
    while len(taken) < len(peers):
        left = [one for one in peers if one not in taken]
        taken.append(max(left, key=lambda one: hypervolume(values[[*taken, one]], reference)))
    return taken


def most_apart(values: Floats, peers: list[int]) -> list[int]:
    """The best loss first, then each time the point farthest from those taken before, as in MO-ASHA (EpsNet)."""
    spread = values.max(axis=0) - values.min(axis=0)
    scaled = values / np.where(spread > 0, spread, 1.0)
    taken = [min(peers, key=lambda one: float(values[one, 0]))]
    while len(taken) < len(peers):
        left = [one for one in peers if one not in taken]
        taken.append(max(left, key=lambda one: float(np.abs(scaled[taken] - scaled[one]).sum(axis=1).min())))
    return taken


def as_they_came(values: Floats, peers: list[int]) -> list[int]:
    """Whoever came first: chance, since candidates come by chance."""
    return peers


def greedy(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    among = len(np.asarray(points))
    return decision(by_rank(points, own, most_area), among, steps, max(1, among // reduction))


def farthest(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    among = len(np.asarray(points))
    return decision(by_rank(points, own, most_apart), among, steps, max(1, among // reduction))


def first(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    among = len(np.asarray(points))
    return decision(by_rank(points, own, as_they_came), among, steps, max(1, among // reduction))


def rounded_up(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    places = standings(points)
    return decision(places[own], len(places), steps, -(-len(places) // reduction))


def none_of_few(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    places = standings(points)
    return decision(places[own], len(places), steps, len(places) // reduction)


def whole_front(points: ArrayLike, own: int, steps: int, reduction: int) -> Decision:
    """As many as asked, and all that nobody dominates."""
    places, edge = standings(points), int((ranks(points) == 0).sum())
    return decision(places[own], len(places), steps, max(1, len(places) // reduction, edge))


JUDGES = {
    "greedy": greedy,
    "farthest": farthest,
    "first": first,
    "rounded up": rounded_up,
    "none of few": none_of_few,
    "whole front": whole_front,
}


def methods(engine: str, members: int, teacher_seconds: float) -> list[Method]:
    """Chance without halving, the rule as it is, and each change of it alone."""

    def method(name: str, halving: Halving | None, judge: str = "real", candidates: int | None = None) -> Method:
        scenario = Scenario(
            engine=engine,
            sampler="each",
            candidates=candidates or members * 9 // 10,
            halving=halving,
            teacher_seconds=teacher_seconds,
            allow_partial=True,
        )
        return Method(name=name, scenario=scenario, judge=judge)

    shapes = [(BASE.rungs, 2), (BASE.rungs, 4), ((30,), 2), ((30,), 3), ((30,), 4), ((90,), 2), ((90,), 3), ((90,), 4)]
    return [
        method("no halving", None, candidates=members // 3),
        method("as it is", BASE),
        *(method(f"ties: {name}" if name in ("greedy", "farthest", "first") else name, BASE, name) for name in JUDGES),
        *(
            method(f"rungs {', '.join(map(str, rungs))}; 1 in {reduction}", Halving(rungs=rungs, reduction=reduction))
            for rungs, reduction in shapes
        ),
    ]


def main(kept: Path, source: Path, seeds: int, processes: int) -> None:
    console = Console(width=100, highlight=False)
    table = read_table(source)
    for engine in table.engines:
        wanted = methods(engine, len(table.members), table.header.teacher_seconds)
        found = replays(table, wanted, range(seeds), kept, judges=JUDGES, processes=processes)
        floor = found["no halving"]
        rows = Rows("rule", "area at 1/4, %", "less as it is", "compute, %", "never")
        base = [area_after(one, by.spent / 4) for one, by in zip(found["as it is"], floor, strict=True)]
        for name, ours in found.items():
            quarter = [area_after(one, by.spent / 4) for one, by in zip(ours, floor, strict=True)]
            gain = [one - other for one, other in zip(quarter, base, strict=True)]
            part = shares(ours, floor)
            never = sum(one == float("inf") for one in part)
            rows.add_row(name, shown(quarter), shown(gain), shown(part), str(never))
        console.print(f"{engine}, {seeds} seeds; {found['as it is'][0].caution() or 'the whole table'}")
        console.print(rows)


def shown(values: list[float]) -> str:
    """In percent."""
    one = middle(values).scaled(100)
    return (
        f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]"
        if one.high < NEVER
        else f"{one.value:.1f} to never"
        if one.value < NEVER
        else "never"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kept", type=Path)
    parser.add_argument("--table", type=Path, default=shipped_table())
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    main(given.kept, given.table, given.seeds, given.processes)
