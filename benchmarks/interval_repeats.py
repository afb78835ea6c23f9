"""How often does a real interval contain what all other repeats found?

Every repeat prepares two small networks and the canary anew and measures each network by itself beside the canary,
under SEARCH and STANDARD. An interval is a claim about the undisturbed machine, so those repeats count that saw it for
a third of their time, and it is repeated until there are enough of them, at most four times as often. A repeat's truth
is the median of the pooled undisturbed samples of all other repeats of that network and protocol. An interval of 95 %
holds it in 28 or 29 of 30; 26 or fewer happen to one that is right 6 times in 100.

Named alternative: the same repeats with all their samples, disturbed or not.

    python benchmarks/interval_repeats.py [--engine openvino] [--repeats 30] [--samples FILE.npz]      25 to 100 minutes
"""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eradio.interval import Interval
from eradio.profile import Target, calibrate
from eradio.profile.canary import Canary
from eradio.profile.engines import load_engine
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import job_of
from eradio.profile.series import median_interval
from eradio.profile.target import SEARCH, STANDARD
from eradio.profile.throughput import Reading, compare
from eradio.profile.undisturbed import LEAST_SHARE
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050")
PROTOCOLS = {"SEARCH": SEARCH, "STANDARD": STANDARD}


def repeat(name: str, target: Target, usual: float) -> Reading:
    """One measurement, from preparing to closing."""
    module = build(named(name)).eval()
    randomise_constants(module)
    engine, job = load_engine(target.engine), job_of(target)
    with engine.prepare(module, job) as candidate, engine.prepare(Canary(), job) as canary:
        (reading,) = compare(
            [candidate.run],
            canary.run,
            target.protocol,
            clock=time.perf_counter,
            stopwatch=stopwatch(target),
            usual=usual,
        )
        return reading


def holding(samples: list[NDArray[np.float64]], intervals: list[Interval]) -> int:
    """How many intervals contain the median of the other repeats' samples."""
    held = 0
    for place, interval in enumerate(intervals):
        truth = float(np.exp(np.median(np.concatenate(samples[:place] + samples[place + 1 :]))))
        held += interval.low <= truth <= interval.high
    return held


def row(samples: list[NDArray[np.float64]], intervals: list[Interval]) -> list[str]:
    """Intervals that hold, their half-width, and the coefficient of variation of the ratios."""
    values = [interval.value for interval in intervals]
    return [
        f"{holding(samples, intervals)}/{len(intervals)}",
        f"{np.median([interval.half_width() for interval in intervals]):.2%}",
        f"{np.std(values, ddof=1) / np.mean(values):.2%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--samples", help="where every pair of block times is kept, for whoever wants to look")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = [(name, protocol) for protocol in PROTOCOLS for name in NETWORKS]
    targets = {key: Target(engine=options.engine, resolution=64, protocol=one) for key, one in PROTOCOLS.items()}
    found: dict[tuple[str, str], list[Reading]] = {cell: [] for cell in cells}
    with TemporaryDirectory() as folder:
        reference = calibrate(targets["STANDARD"], canary_folder=Path(folder), lock=None)
    usual = targets["STANDARD"].batch / reference.images_per_second
    print(f"the canary's usual call takes {1e3 * usual:.3f} ms", flush=True)
    for _ in range(4 * options.repeats):
        for cell in cells:
            if sum(one.undisturbed >= LEAST_SHARE for one in found[cell]) < options.repeats:
                found[cell].append(repeat(cell[0], targets[cell[1]], usual))
                print(f"{' '.join(cell)} {found[cell][-1].ratio} {found[cell][-1].undisturbed:.0%}", flush=True)
    if options.samples:
        pairs = {
            f"{name}|{protocol}|{place}": np.stack([reading.pairs.candidate, reading.pairs.canary])
            for (name, protocol), readings in found.items()
            for place, reading in enumerate(readings)
        }
        np.savez_compressed(options.samples, **pairs)  # type: ignore[arg-type]
    grid = Table(title="Repeats: intervals that hold the median of all others' samples")
    for column in ("network", "protocol", "held", "half-width", "CV", "settled", "of", "all: held", "half-width", "CV"):
        grid.add_column(column)
    for (name, protocol), readings in found.items():
        quiet = [one for one in readings if one.undisturbed >= LEAST_SHARE]
        every = [one.pairs.log_ratio() for one in readings]
        grid.add_row(
            name,
            protocol,
            *row([one.pairs.log_ratio()[one.pairs.undisturbed(usual)] for one in quiet], [one.ratio for one in quiet]),
            str(sum(one.settled for one in quiet)),
            str(len(readings)),
            *row(every, [median_interval(one).exponential() for one in every]),
        )
    console = Console(width=130)
    console.print(grid)
    console.print(f"load average {os.getloadavg()[0]:.1f}", highlight=False)


if __name__ == "__main__":
    main()
