"""Does the same network get the same throughput twice?

Ten repeats of our protocol and of the mean of 40 steps after 10 warm-up steps, as timm's `benchmark.py` takes it,
on two small networks, interleaved in one process so that all see the same machine. The mean is taken twice, over
elapsed and over processor time, to tell apart what the choice of clock and what the canary contribute.

    python benchmarks/throughput_repeatability.py [--engine openvino] [--repeats 10]
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
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Prepared
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import job_of
from eradio.profile.throughput import Reading, compare
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050")
WARM_UP_STEPS, STEPS = 10, 40


def mean_of_steps(prepared: Prepared, batch: int) -> tuple[float, float]:
    """Images per second of elapsed time and of processor time, from the mean of 40 steps."""
    for _ in range(WARM_UP_STEPS):
        prepared.run()
    elapsed, processor = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        prepared.run()
    steps = STEPS * batch
    return steps / (time.perf_counter() - elapsed), steps / (time.process_time() - processor)


def variation(values: list[float]) -> str:
    """Coefficient of variation, and the largest value over the smallest."""
    return f"{np.std(values, ddof=1) / np.mean(values):.1%} ({max(values) / min(values):.2f}x)"


def coverage(readings: list[Reading]) -> str:
    """How many intervals hold the median of all repeats."""
    centre = np.median([reading.ratio.value for reading in readings])
    held = sum(reading.ratio.low <= centre <= reading.ratio.high for reading in readings)
    return f"{held}/{len(readings)}, {sum(reading.settled for reading in readings)} settled"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    target = Target(engine=options.engine)
    engine, job = load_engine(target.engine), job_of(target)
    canary = engine.prepare(Canary(), job)
    prepared: dict[str, Prepared] = {}
    for name in NETWORKS:
        module = build(named(name)).eval()
        randomise_constants(module)
        prepared[name] = engine.prepare(module, job)
    means: dict[str, list[tuple[float, float]]] = {name: [] for name in NETWORKS}
    ours: dict[str, list[Reading]] = {name: [] for name in NETWORKS}
    for _ in range(options.repeats):
        for name, network in prepared.items():
            means[name].append(mean_of_steps(network, target.batch))
            ours[name].append(
                compare(
                    [network.run],
                    canary.run,
                    target.protocol,
                    clock=time.perf_counter,
                    stopwatch=stopwatch(target),
                )[0]
            )
    grid = Table(title=f"Coefficient of variation (largest/smallest) of {options.repeats} repeats")
    columns = ("network", "mean of 40, elapsed", "mean of 40, processor", "ours, ratio", "intervals", "s a repeat")
    for column in columns:
        grid.add_column(column)
    for name in NETWORKS:
        grid.add_row(
            name,
            variation([elapsed for elapsed, _ in means[name]]),
            variation([processor for _, processor in means[name]]),
            variation([reading.ratio.value for reading in ours[name]]),
            coverage(ours[name]),
            f"{np.mean([reading.seconds for reading in ours[name]]):.2f}",
        )
    console = Console(width=130)
    console.print(grid)
    console.print(f"{target.engine} {target.precision}, load average {os.getloadavg()[0]:.1f}", highlight=False)


if __name__ == "__main__":
    main()
