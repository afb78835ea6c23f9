"""Hypervolume against training compute, of searches replayed over the recorded table.

Named alternatives: search by chance with a third of the members, and Optuna's NSGA-II and TPE (as it comes) with as
many. "TPE" is ours: parameters together, the front and the latest trials seen, helped by chance where it comes to rest.
Compute is what students and teachers take in training; the area is that of the true final losses of the networks taught
to the end, against a reference point of the whole table. Methods are compared seed by seed; intervals: 95 % bootstraps
over seeds. An interrupted run goes on where it was, from FILE.

Run: python benchmarks/search_on_table.py FILE [--table TABLE] [--seeds 20] [--engine openvino] [--processes 1]
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as Rows

from eradio.agreement import tau_in_bands
from eradio.interval import Interval
from eradio.study.halving import Halving
from eradio.study.simulator import Replay, Scenario, Table, read_table, shipped_table
from eradio.study.simulator.compare import NEVER, area_after, final_area, middle, shares
from eradio.study.simulator.runs import Method, replays
from eradio.study.simulator.scenario import AS_IT_COMES

HALVING = Halving(rungs=(30, 90), reduction=3)
COHORT = 8
ATTEMPTS = 5
BANDS = 4
SHOWN_AT = (1 / 8, 1 / 3)
CHANCE, PLAIN, WHOLE, OURS = "chance", "Optuna's TPE", "TPE", "TPE, halving, cohorts"
VIEW, ALL = "TPE, halving", "TPE that sees all, halving"
EVERYTHING = 10**9
AIM_CHANCE, AIM_PLAIN, AIM_TAU = 1 / 8, 1 / 3, 0.8

Found = dict[str, list[Replay]]


def methods(table: Table, engine: str) -> list[Method]:
    """What is compared; those that halve, which is cheaper, may take twice as many candidates to reach an area."""
    third = table.size // 3 if len(table.members) == table.size else len(table.members) // 3
    partial = len(table.members) < table.size
    plain = Scenario(engine=engine, candidates=third, attempts=ATTEMPTS, allow_partial=partial)
    halved = plain.model_copy(update={"halving": HALVING, "candidates": 2 * third})
    few = halved.model_copy(update={"candidates": third})
    free = few.model_copy(update={"teacher_seconds": 0.0})

    def method(name: str, base: Scenario, **changes: object) -> Method:
        return Method(name=name, scenario=base.model_copy(update=changes))

    return [
        method(CHANCE, plain, sampler="random"),
        method("NSGA-II", plain, sampler="nsga2"),
        method(PLAIN, plain, sampler=AS_IT_COMES),
        method(WHOLE, plain),
        method("chance, halving, cohorts", halved, sampler="random", cohort=COHORT),
        method(VIEW, halved),
        method(OURS, halved, cohort=COHORT),
        method("4 workers", few, cohort=COHORT, workers=4),
        method("4 workers that die", few, cohort=COHORT, workers=4, deaths_per_hour=10, lease_seconds=60),
        method("free teachers, alone", free),
        method("free teachers, cohorts", free, cohort=COHORT),
        method(ALL, halved, latest=EVERYTHING),  # last, since it takes longest
    ]


def main(kept: Path, source: Path, seeds: int, engine: str, processes: int) -> None:
    console, table = Console(width=100, highlight=False), read_table(source)

    def told(name: str, done: int, all_: int) -> None:
        print(f"{done} of {all_}: {name}", flush=True)

    found = replays(table, methods(table, engine), range(seeds), kept, processes=processes, told=told)
    console.print(f"{engine}, {seeds} seeds; {found[CHANCE][0].caution() or 'the whole table'}")
    console.print(areas(found))
    console.print(costs(found, CHANCE, PLAIN), costs(found, WHOLE), sep="\n")
    console.print(facts(found))
    console.print(*verdicts(found), sep="\n")
    console.print(fidelity(table, engine))


def areas(found: Found) -> Rows:
    """The area after parts of what chance spends, in percent of the table's."""
    heads = [f"1/{round(1 / part)}" for part in SHOWN_AT]
    rows = Rows("area, % of the table's, after", *heads, "all it spent")
    for name, runs in found.items():
        pairs = list(zip(runs, found[CHANCE], strict=True))
        cells = [[area_after(one, part * base.spent) for one, base in pairs] for part in SHOWN_AT]
        rows.add_row(name, *(percent(middle(one)) for one in [*cells, [final_area(one) for one in runs]]))
    return rows


def costs(found: Found, *bases: str) -> Rows:
    """The part of the whole compute of some methods that is needed for the same area."""
    rows = Rows("compute for the final area of", *(head for base in bases for head in (base, "never")))
    for name, runs in found.items():
        cells = []
        for base in bases:
            part = shares(runs, found[base])
            cells += [percent(middle(part)), str(sum(one == float("inf") for one in part))]
        rows.add_row(name, *cells)
    return rows


def facts(found: Found) -> Rows:
    """What else a method did: medians over seeds."""
    rows = Rows("medians over seeds", "compute s", "clock s", "trials", "candidates", "finished", "deaths")
    for name, runs in found.items():
        counts = [
            (one.spent, one.seconds, one.trials, one.decided[0][0], len(one.finished), one.deaths) for one in runs
        ]
        rows.add_row(name, *(f"{value:.0f}" for value in np.median(counts, axis=0)))
    return rows


def verdicts(found: Found) -> list[str]:
    """Whether the aims are met: by the whole interval, by its middle alone, or not."""
    lines = []
    for base, aim in ((CHANCE, AIM_CHANCE), (PLAIN, AIM_PLAIN), (WHOLE, AIM_PLAIN)):
        part = middle(shares(found[OURS], found[base]))
        outcome = "met" if part.high <= aim else "MISSED" if part.value > aim else "met by the median only"
        lines.append(f"Aim: {base}'s area with {percent_of(aim)} of its compute. {OURS}: {percent(part)}: {outcome}.")
    for name, other in ((VIEW, ALL), ("free teachers, cohorts", "free teachers, alone")):
        differences = [final_area(one) - final_area(base) for one, base in zip(found[name], found[other], strict=True)]
        lines.append(f"{name} less {other}: {percent(middle(differences))} of the table's area at the end.")
    return lines


def fidelity(table: Table, engine: str) -> Rows:
    """Kendall's tau of each rung's losses with the last one's, within bands of throughput."""
    taught = [one for one in table.members.values() if one.rungs]
    order = np.argsort([one.throughput(engine) for one in taught])
    bands = [np.sort(part) for part in np.array_split(order, BANDS)]
    last = np.array([one.rungs[table.rungs[-1]].loss for one in taught])
    rows = Rows(f"tau with rung {table.rungs[-1]}", *(f"band {number + 1}" for number in range(BANDS)), "mean", "aim")
    for steps in table.rungs[:-1]:
        early = np.array([one.rungs[steps].loss for one in taught])
        each = [tau_in_bands(early, last, [band]) for band in bands]
        mean = tau_in_bands(early, last, bands)
        outcome = "met" if mean.low >= AIM_TAU else "MISSED" if mean.value < AIM_TAU else "met by the middle only"
        rows.add_row(f"rung {steps}", *(f"{one.value:.2f}" for one in each), plain(mean), f"{AIM_TAU}: {outcome}")
    return rows


def plain(one: Interval) -> str:
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def percent(one: Interval) -> str:
    if one.value > NEVER / 4:
        return "out of reach"
    high = f"{100 * one.high:.1f}" if one.high < NEVER / 4 else "never"
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {high}]"


def percent_of(part: float) -> str:
    return f"{100 * part:.1f} %"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kept", type=Path)
    parser.add_argument("--table", type=Path, default=shipped_table())
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    main(given.kept, given.table, given.seeds, given.engine, given.processes)
