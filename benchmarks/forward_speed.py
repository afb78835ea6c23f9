"""Forward speed of two E-RADIOs: training form, deploy form and each installed engine, as ratios in one run.

Named alternative: the training form in eager. Each way's blocks alternate with the alternative's, and the ratio has a
block bootstrap's 95 % interval; one thread, float32, one picture of 224 pixels, windows of 7.

Run: python benchmarks/forward_speed.py [seconds a way]
"""

import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from eradio.interval import Interval
from eradio.profile import Target, complexity
from eradio.profile.auto import is_installed
from eradio.profile.engines import LISTINGS, load_engine
from eradio.profile.engines.base import Job, Prepared
from eradio.profile.measuring import stopwatch
from eradio.profile.ready import fixed_pictures
from eradio.profile.target import Protocol
from eradio.profile.throughput import compare
from eradio.search_space import Backbone, build, deploy, fit_windows, named

NAMES = ("e_radio_xxxtiny", "e_radio_b")
SIDE = 224


def main(seconds: float) -> None:
    torch.set_num_threads(1)
    console = Console(width=120)
    table = Table("network", "way", "× training form in eager", "95 % interval", "ms a picture")
    protocol = Protocol(min_seconds=seconds / 4, max_seconds=seconds)
    for name in NAMES:
        architecture = fit_windows(named(name), (SIDE, SIDE))  # type: ignore[arg-type]
        target = Target(engine="eager", batch=1, resolution=SIDE)
        module = build(architecture).eval().requires_grad_(False)
        assert isinstance(module, Backbone)
        pictures = fixed_pictures(target)
        folded = deploy(module, (SIDE, SIDE))
        baseline = load_engine("eager").prepare(module, Job(pictures))
        ways: list[tuple[str, Prepared]] = []
        for engine in (name for name in LISTINGS if "cpu" in LISTINGS[name].offers and is_installed(name)):
            prepared = load_engine(engine).prepare(folded, Job(pictures))
            ways.append((f"deploy form, {engine}", prepared))
        prepared = load_engine("openvino").prepare(module, Job(pictures))
        ways.append(("training form, openvino", prepared))
        for way, one in ways:
            (reading,) = compare(
                [one.run], baseline.run, protocol, clock=time.perf_counter, stopwatch=stopwatch(target)
            )
            table.add_row(name, way, *_cells(reading.ratio), f"{reading.pairs.candidate.mean() * 1e3:.1f}")
            one.close()
        baseline.close()
        console.print(f"{name}: {complexity(module, SIDE).gmacs:.3f} GMACs")
    console.print(table)


def _cells(ratio: Interval) -> tuple[str, str]:
    return f"{ratio.value:.2f}", f"[{ratio.low:.2f}, {ratio.high:.2f}]"


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 12.0)
