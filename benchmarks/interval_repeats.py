"""How often does a real interval contain what all other repeats found?

Every repeat prepares two small networks and the canary anew and measures each network by itself beside the canary,
under SEARCH and STANDARD. A repeat's truth is the median of the pooled samples of all other repeats of that network
and protocol. An interval of 95 % holds it in 28 or 29 of 30; 26 or fewer happen to one that is right 6 times in 100.

Networks do not slow down alike when neighbours share cores and caches, so on a busy machine the ratio itself changes
from minute to minute. The same count is therefore also made of the undisturbed repeats alone: those in which the
canary's median is within 10 % of its best.

    python benchmarks/interval_repeats.py [--engine openvino] [--repeats 30]      about 25 minutes for 30
"""

import argparse
import os
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eradio.profile import Target
from eradio.profile.canary import Canary
from eradio.profile.clocks import state
from eradio.profile.engines import load_engine
from eradio.profile.health import notes
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import job_of
from eradio.profile.target import SEARCH, STANDARD
from eradio.profile.throughput import Reading, compare
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050")
PROTOCOLS = {"SEARCH": SEARCH, "STANDARD": STANDARD}


def repeat(name: str, target: Target) -> Reading:
    """One measurement, from preparing to closing."""
    module = build(named(name)).eval()
    randomise_constants(module)
    engine, job = load_engine(target.engine), job_of(target)
    with engine.prepare(module, job) as candidate, engine.prepare(Canary(), job) as canary:
        before = state()
        (reading,) = compare(
            [candidate.run], canary.run, target.protocol, clock=time.perf_counter, stopwatch=stopwatch(target)
        )
        for note in notes(reading.pairs.canary, before, state()):
            print(f"{name}: {note}", flush=True)
        return reading


def holding(readings: list[Reading]) -> int:
    """How many intervals contain the median of the other repeats' samples."""
    samples = [reading.pairs.log_ratio() for reading in readings]
    held = 0
    for place, reading in enumerate(readings):
        truth = float(np.exp(np.median(np.concatenate(samples[:place] + samples[place + 1 :]))))
        held += reading.ratio.low <= truth <= reading.ratio.high
    return held


def variation(readings: list[Reading]) -> str:
    """Coefficient of variation of the ratios."""
    values = [reading.ratio.value for reading in readings]
    return f"{np.std(values, ddof=1) / np.mean(values):.2%}"


def undisturbed(readings: list[Reading]) -> list[Reading]:
    """Those in which the canary was nearly as fast as ever."""
    times = np.array([np.median(reading.pairs.canary) for reading in readings])
    return [reading for reading, taken in zip(readings, times, strict=True) if taken <= 1.1 * times.min()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = [(name, protocol) for protocol in PROTOCOLS for name in NETWORKS]
    found: dict[tuple[str, str], list[Reading]] = {cell: [] for cell in cells}
    for _ in range(options.repeats):
        for name, protocol in cells:
            target = Target(engine=options.engine, resolution=64, protocol=PROTOCOLS[protocol])
            found[name, protocol].append(repeat(name, target))
    grid = Table(title=f"{options.repeats} repeats: intervals that hold the median of all others' samples")
    columns = (
        "network",
        "protocol",
        "held",
        "settled",
        "half-width",
        "CV",
        "s a repeat",
        "undisturbed held",
        "their CV",
    )
    for column in columns:
        grid.add_column(column)
    for (name, protocol), readings in found.items():
        quiet = undisturbed(readings)
        grid.add_row(
            name,
            protocol,
            f"{holding(readings)}/{len(readings)}",
            str(sum(reading.settled for reading in readings)),
            f"{np.median([reading.ratio.half_width() for reading in readings]):.2%}",
            variation(readings),
            f"{np.mean([reading.seconds for reading in readings]):.1f}",
            f"{holding(quiet)}/{len(quiet)}" if len(quiet) > 1 else "-",
            variation(quiet) if len(quiet) > 1 else "-",
        )
    console = Console(width=130)
    console.print(grid)
    console.print(f"load average {os.getloadavg()[0]:.1f}", highlight=False)


if __name__ == "__main__":
    main()
