"""Which states does this machine have, and does the ratio of two networks depend on them?

One long recording of two small networks beside the canary, as the protocol takes turns. It is cut into stretches of 20
seconds, each as long as one measurement. Printed is how the ratio of each network's fastest blocks moves from stretch
to stretch, and which part of a change of the canary's speed a ratio follows, from the fastest blocks to the middle of
all. Named alternative: the median of all pairs' ratios.

    python benchmarks/states_of_a_machine.py [--minutes 10] [--engine openvino]
"""

import argparse
import os
import time
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eradio.profile import Protocol, Target
from eradio.profile.canary import Canary
from eradio.profile.engines import load_engine
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import job_of
from eradio.profile.throughput import Pairs, compare
from eradio.profile.undisturbed import band, logarithms, share, steady, undisturbed
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050")
STRETCH = 20.0


def fastest(times: NDArray[np.float64]) -> float:
    """Logarithm of the seconds of a call in the fastest blocks, [n] seconds."""
    logs = logarithms(times)
    return float(undisturbed(logs[None], band(logs))[0])


def stretches(pairs: Pairs, minutes: float) -> list[Pairs]:
    """Equal numbers of neighbouring blocks, about 20 seconds each."""
    count = max(2, round(60 * minutes / STRETCH))
    size = len(pairs.canary) // count // 2 * 2
    pieces = [slice(place * size, (place + 1) * size) for place in range(count)]
    return [Pairs(pairs.candidate[p], pairs.canary[p], pairs.calls, pairs.canary_calls) for p in pieces]


def spread(logs: list[float]) -> str:
    """Median of ratios, and their robust and plain variation in per cent."""
    middle = float(np.median(logs))
    robust = 1.4826 * float(np.median(np.abs(np.array(logs) - middle)))
    return f"{np.exp(middle):.4g}, {robust:.1%} ({np.std(logs, ddof=1):.1%})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--engine", default="openvino")
    options = parser.parse_args()
    torch.set_num_threads(1)
    long = 60 * options.minutes / len(NETWORKS)
    protocol = Protocol(half_width=1e-6, min_seconds=long, max_seconds=long, looks=1)
    target = Target(engine=options.engine, resolution=64, protocol=protocol)
    with ExitStack() as open_ones:
        engine, job = load_engine(options.engine), job_of(target)
        prepared = []
        for name in NETWORKS:
            module = build(named(name)).eval()
            randomise_constants(module)
            prepared.append(open_ones.enter_context(engine.prepare(module, job)))
        canary = open_ones.enter_context(engine.prepare(Canary(), job))
        calls = [one.run for one in prepared]
        readings = compare(calls, canary.run, protocol, clock=time.perf_counter, stopwatch=stopwatch(target))
    grid = Table(title=f"{options.minutes:g} minutes in stretches of {STRETCH:g} s, ratio to the canary")
    heads = ("fastest blocks: median, robust CV (CV)", "all pairs", "canary's calls, ms", "undisturbed", "follows")
    for column in ("network", *heads, "stretches of one state"):
        grid.add_column(column)
    for name, reading in zip(NETWORKS, readings, strict=True):
        pairs = reading.pairs
        pieces = stretches(pairs, options.minutes)
        low, high = fastest(pairs.canary), float(np.median(logarithms(pairs.canary)))
        own = fastest(pairs.candidate), float(np.median(logarithms(pairs.candidate)))
        grid.add_row(
            name,
            spread([fastest(one.canary) - fastest(one.candidate) for one in pieces]),
            spread([float(np.median(one.log_ratio())) for one in pieces]),
            f"{1e3 * np.exp(low):.3f} fastest, {1e3 * np.exp(high):.3f} middle",
            f"{share(pairs.canary):.0%} of {len(pairs.canary)} blocks",
            f"{((high - own[1]) - (low - own[0])) / (high - low):.2f}",
            f"{sum(steady(one.canary) for one in pieces)} of {len(pieces)}",
        )
    Console(width=150).print(grid)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
