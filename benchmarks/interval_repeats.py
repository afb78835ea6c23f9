"""How often does a real interval contain what all other repeats found?

Every repeat prepares two small networks and the canary anew and measures each network by itself beside the canary,
under SEARCH and STANDARD. An interval is a claim about the undisturbed machine, so those repeats count that saw it, and
it is repeated until there are enough of them, at most four times as often. A repeat's truth is the median of the ratios
of all other repeats of that network and protocol. An interval of 95 % holds it in 28 or 29 of 30; 26 or fewer happen to
one that is right 6 times in 100.

Named alternative: of the same repeats, the median of all pairs' ratios, disturbed or not.

Every repeat goes to a file, so an interrupted benchmark goes on where it was.

    python benchmarks/interval_repeats.py [--engine openvino] [--repeats 30] [--file FILE]      25 to 100 minutes
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eradio.interval import Interval
from eradio.profile import Target, calibrate
from eradio.profile.canary import Canary
from eradio.profile.engines import load_engine
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import job_of
from eradio.profile.record import EPOCH, environment_digest
from eradio.profile.series import series_interval
from eradio.profile.target import SEARCH, STANDARD
from eradio.profile.throughput import compare
from eradio.profile.undisturbed import undisturbed_seconds
from eradio.profile.usual import Usual, remember_run, usual_canary
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050")
PROTOCOLS = {"SEARCH": SEARCH, "STANDARD": STANDARD}


@dataclass(frozen=True)
class Repeat:
    """What one measurement left behind."""

    name: str
    protocol: str
    ratio: Interval
    settled: bool
    undisturbed: float
    pairs: tuple[float, float, float]
    """The alternative's ratio and the ends of its interval."""
    canary: float
    """Seconds of one undisturbed call of the canary."""

    def counts(self) -> bool:
        """Whether its interval is a claim about the undisturbed machine."""
        return self.undisturbed > 0


def repeat(name: str, protocol: str, target: Target, usual: Usual) -> Repeat:
    """One measurement, from preparing to closing."""
    module = build(named(name)).eval()
    randomise_constants(module)
    engine, job = load_engine(target.engine), job_of(target)
    with engine.prepare(module, job) as candidate, engine.prepare(Canary(), job) as canary:
        (found,) = compare(
            [candidate.run],
            canary.run,
            target.protocol,
            clock=time.perf_counter,
            stopwatch=stopwatch(target),
            usual=usual.seconds,
            scatter=usual.scatter,
        )
    every = series_interval(found.pairs.log_ratio()).exponential()
    seconds = undisturbed_seconds(found.pairs.canary)
    return Repeat(
        name, protocol, found.ratio, found.settled, found.undisturbed, (every.value, every.low, every.high), seconds
    )


def holding(intervals: list[Interval]) -> int:
    """How many intervals contain the median of the others' values."""
    values = np.array([interval.value for interval in intervals])
    truths = [float(np.median(np.delete(values, place))) for place in range(len(values))]
    return sum(interval.low <= truth <= interval.high for interval, truth in zip(intervals, truths, strict=True))


def row(intervals: list[Interval]) -> list[str]:
    """Intervals that hold, their median half-width, the middle of the ratios, and their coefficient of variation."""
    if len(intervals) < 2:
        return ["-"] * 4
    values = [interval.value for interval in intervals]
    return [
        f"{holding(intervals)}/{len(intervals)}",
        f"{np.median([interval.half_width() for interval in intervals]):.2%}",
        f"{np.median(values):.4g}",
        f"{np.std(values, ddof=1) / np.mean(values):.2%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--file", type=Path, default=Path("runs/interval-repeats.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = [(name, protocol) for protocol in PROTOCOLS for name in NETWORKS]
    targets = {key: Target(engine=options.engine, resolution=64, protocol=one) for key, one in PROTOCOLS.items()}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    where = [options.engine, EPOCH, environment_digest(targets["STANDARD"])]
    if not options.file.exists():
        options.file.write_text(json.dumps(where) + "\n")
    known_where, *rows = map(json.loads, options.file.read_text().splitlines())
    if known_where != where:
        sys.exit(f"{options.file} is of another engine, protocol or machine; give another file.")
    found = [Repeat(**{**data, "ratio": Interval(**data["ratio"]), "pairs": tuple(data["pairs"])}) for data in rows]
    store = options.file.with_suffix(".canary")
    store.mkdir(exist_ok=True)
    unit = calibrate(targets["STANDARD"], canary_folder=store, lock=None)
    print(f"the canary: {unit.images_per_second:.0f} images/s; {len(found)} repeats are known", flush=True)
    for turn in range(4 * options.repeats):
        for name, protocol in cells:
            known = [one for one in found if (one.name, one.protocol) == (name, protocol)]
            if len(known) > turn or sum(one.counts() for one in known) >= options.repeats:
                continue
            one = repeat(name, protocol, targets[protocol], usual_canary(unit, targets[protocol], store))
            remember_run(targets[protocol], store, one.canary)
            found.append(one)
            with options.file.open("a") as handle:
                handle.write(json.dumps({**asdict(one), "ratio": one.ratio.model_dump()}) + "\n")
            print(f"{name} {protocol} {one.ratio} undisturbed {one.undisturbed:.0%}", flush=True)
    grid = Table(title="Repeats: intervals that hold the median of all others")
    four = ("held", "half-width", "ratio", "CV")
    for column in ("network", "protocol", *four, "settled", "of", *(f"pairs: {one}" for one in four)):
        grid.add_column(column)
    for name, protocol in cells:
        known = [one for one in found if (one.name, one.protocol) == (name, protocol)]
        quiet = [one for one in known if one.counts()]
        pairs = [Interval(value=value, low=low, high=high) for value, low, high in (one.pairs for one in quiet)]
        counts = [str(sum(one.settled for one in quiet)), str(len(known))]
        grid.add_row(name, protocol, *row([one.ratio for one in quiet]), *counts, *row(pairs))
    console = Console(width=130)
    console.print(grid)
    console.print(f"load average {os.getloadavg()[0]:.1f}", highlight=False)


if __name__ == "__main__":
    main()
