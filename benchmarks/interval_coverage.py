"""How often does a 95 % interval of the protocol contain the truth?

Simulated machines of every kind (`simulated_machines.py`), early stopping included, under the protocols SEARCH and
STANDARD. Named alternatives, on the same machines at the same looks:

- percentile: a percentile block bootstrap of the median of single pairs, blocks of the cube root of their number;
- raw means: Student's t of the difference of the logarithms of both networks' mean times, as if all were independent;
- paired means: Student's t of the mean logarithm of the pairs' ratios;
- all pairs: the median of all pairs' ratios, whichever state of the machine they saw;
- all looks alike: our interval without the widening at early looks.

As in a real run, the canary's undisturbed time is known to 2 % or so. A run that never came near it claims nothing
(`disturbed`), and is left out of what is ours but for the row of all that is printed.

A percentage has the 95 % interval of Wilson (1927). The seeds are not those that the interval was chosen with.

    python benchmarks/interval_coverage.py [--machines 125] [--seed 100000]

1,125 machines take about two minutes on one core.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from simulated_machines import KINDS, Machine, draw, measured

from eradio.interval import Interval, bootstrap_interval, median
from eradio.profile.series import series_interval, student_quantile
from eradio.profile.target import SEARCH, STANDARD, Protocol
from eradio.profile.throughput import FEWEST_ROUNDS, Pairs

Rule = Callable[[Pairs], Interval]


@dataclass(frozen=True)
class Outcome:
    """What came of measuring one machine."""

    held: bool | None
    """None if nothing was claimed."""
    printed: bool
    """The same of the interval that is printed, whatever it claims."""
    settled: bool
    half_width: float
    rounds: int


def percentile(pairs: Pairs) -> Interval:
    ratio = pairs.canary / pairs.candidate
    return bootstrap_interval(ratio, median, block=max(1, round(len(ratio) ** (1 / 3))), resamples=400)


def raw_means(pairs: Pairs) -> Interval:
    errors = [times.std(ddof=1) / times.mean() / math.sqrt(len(times)) for times in (pairs.candidate, pairs.canary)]
    value = math.log(pairs.canary.mean() / pairs.candidate.mean())
    reach = student_quantile(2 * len(pairs.canary) - 2) * math.hypot(*errors)
    return Interval(value=value, low=value - reach, high=value + reach).exponential()


def paired_means(pairs: Pairs) -> Interval:
    ratio = np.log(pairs.canary / pairs.candidate)
    value = float(ratio.mean())
    reach = student_quantile(len(ratio) - 1) * float(ratio.std(ddof=1)) / math.sqrt(len(ratio))
    return Interval(value=value, low=value - reach, high=value + reach).exponential()


def all_pairs(pairs: Pairs) -> Interval:
    return series_interval(pairs.log_ratio()).exponential()


def all_looks_alike(pairs: Pairs) -> Interval:
    return pairs.interval()


ALTERNATIVES: dict[str, Rule] = {
    "percentile": percentile,
    "raw means": raw_means,
    "paired means": paired_means,
    "all pairs": all_pairs,
    "all looks alike": all_looks_alike,
}


def ours(kind: str, seed: int, protocol: Protocol) -> Outcome:
    """The protocol itself on a machine."""
    machine = draw(kind, seed)
    reading = measured(machine, protocol)
    printed = reading.ratio.low <= machine.truth <= reading.ratio.high
    held = printed if reading.undisturbed else None
    return Outcome(held, printed, reading.settled, reading.ratio.half_width(), len(reading.pairs.canary))


def others(kind: str, seed: int, protocol: Protocol) -> dict[str, Outcome]:
    """What the alternatives would have made of the same machine: one run that never settles, cut at its looks."""
    machine = draw(kind, seed)
    ends: list[float] = []
    never = protocol.model_copy(update={"half_width": 1e-12})
    reading = measured(machine, never, watch=lambda _: ends.append(machine.now))
    elapsed = np.array(ends) - (ends[-1] - reading.seconds)
    looks = [max(FEWEST_ROUNDS, int(np.searchsorted(elapsed, look)) + 1) for look in protocol.look_times()]
    looks = [min(count + count % 2, len(ends)) for count in looks]
    return {name: _stopped(reading.pairs, rule, looks, protocol, machine) for name, rule in ALTERNATIVES.items()}


def _stopped(pairs: Pairs, rule: Rule, looks: list[int], protocol: Protocol, machine: Machine) -> Outcome:
    for count in looks:
        cut = Pairs(pairs.candidate[:count], pairs.canary[:count], pairs.calls, pairs.canary_calls)
        found = rule(cut)
        settled = found.half_width() <= protocol.half_width
        if settled:
            break
    held = found.low <= machine.truth <= found.high
    return Outcome(held, held, settled, found.half_width(), count)


def wilson(held: int, count: int) -> str:
    """A share in per cent with its 95 % interval."""
    z, share = 1.959964, held / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return f"{share:.1%} [{middle - reach:.1%}, {middle + reach:.1%}]"


def coverage(outcomes: NDArray[np.object_]) -> str:
    claims = [one.held for one in outcomes if one.held is not None]
    return wilson(sum(claims), len(claims))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--machines", type=int, default=125, help="of each kind")
    parser.add_argument("--seed", type=int, default=100_000, help="of the first machine of each kind")
    options = parser.parse_args()
    machines, first = options.machines, options.seed
    console = Console(width=150)
    for name, protocol in (("SEARCH", SEARCH), ("STANDARD", STANDARD)):
        start = time.perf_counter()
        columns = ("ours", *ALTERNATIVES)
        table: NDArray[np.object_] = np.empty((len(KINDS), machines, len(columns)), dtype=object)
        for row, kind in enumerate(KINDS):
            for number in range(machines):
                seed = first + number
                table[row, number] = [ours(kind, seed, protocol), *others(kind, seed, protocol).values()]
        grid = Table(title=f"{name}: intervals that contain the truth, of {machines} machines of each kind")
        for heading in ("kind", *columns):
            grid.add_column(heading)
        for row, kind in enumerate(KINDS):
            grid.add_row(kind, *(coverage(table[row, :, column]) for column in range(len(columns))))
        flat = [table[:, :, column].ravel() for column in range(len(columns))]
        grid.add_section()
        grid.add_row("all", *(coverage(one) for one in flat))
        claimed = (f"{np.mean([outcome.held is not None for outcome in one]):.0%}" for one in flat)
        grid.add_row("claims", *claimed)
        grid.add_row("all that is printed", *(f"{np.mean([outcome.printed for outcome in one]):.1%}" for one in flat))
        grid.add_row("settled", *(f"{np.mean([outcome.settled for outcome in one]):.0%}" for one in flat))
        grid.add_row("median half-width", *(f"{np.median([out.half_width for out in one]):.2%}" for one in flat))
        grid.add_row("mean rounds", *(f"{np.mean([outcome.rounds for outcome in one]):.0f}" for one in flat))
        console.print(grid)
        console.print(f"{time.perf_counter() - start:.0f} s", highlight=False)


if __name__ == "__main__":
    main()
