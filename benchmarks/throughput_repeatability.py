"""Does the same network get the same throughput twice, with and without a neighbour at work?

Ten repeats of our ratio to the canary, of the mean of 40 steps after 10 warm-up steps (as timm's `benchmark.py` takes
it) and of a run of OpenVINO's `benchmark_app` on the network's ONNX file, on four small networks in float32 and
bfloat16. All are interleaved, so they see the same machine: half of them beside a process that multiplies matrices on
another core. Named alternatives: the mean of 40 and `benchmark_app`, both in elapsed time as they come.

Ours is printed over all repeats, and over those that say of themselves that they saw the machine undisturbed; what that
is, is learnt from the runs that a folder remembers.

    python benchmarks/throughput_repeatability.py [--repeats 10] [--canary FOLDER]      about 25 minutes
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eradio.onnx_file import write_onnx
from eradio.profile import Target, calibrate
from eradio.profile.canary import Canary
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Flat, Prepared
from eradio.profile.measuring import stopwatch
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import deployed, job_of
from eradio.profile.target import SEARCH
from eradio.profile.throughput import compare
from eradio.profile.undisturbed import undisturbed_seconds
from eradio.profile.usual import remember_run, usual_canary
from eradio.search_space import build, named

NETWORKS = ("e_radio_mini", "e_radio_mini_s", "timm/mobilenetv3_small_050", "timm/resnet10t")
PRECISIONS = ("fp32", "bf16")
WARM_UP_STEPS, STEPS, APP_SECONDS = 10, 40, 2
WAYS = ("ours", "mean of 40", "benchmark_app")
_NEIGHBOUR = "import torch; torch.set_num_threads(1); a = torch.rand(512, 512)\nwhile True: a @ a"
_APP = "import sys; sys.modules['openvino_telemetry'] = None; from openvino.tools.benchmark.main import main; main()"


def mean_of_steps(prepared: Prepared, batch: int) -> float:
    """Images per second of elapsed time, from the mean of 40 steps."""
    for _ in range(WARM_UP_STEPS):
        prepared.run()
    start = time.perf_counter()
    for _ in range(STEPS):
        prepared.run()
    return STEPS * batch / (time.perf_counter() - start)


def benchmark_app(file: Path, precision: str) -> float:
    """Images per second that a run of `benchmark_app` prints: one stream, one thread, calls one after another."""
    options = f"-d CPU -hint none -api sync -nstreams 1 -nthreads 1 -t {APP_SECONDS} -infer_precision"
    kind = {"fp32": "f32", "bf16": "bf16"}[precision]
    command = [sys.executable, "-c", _APP, "-m", str(file), *options.split(), kind]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Throughput:\s*([\d.]+)", printed)
    assert found is not None, printed
    return float(found.group(1))


@contextmanager
def neighbour(present: bool) -> Iterator[None]:
    """A process at work on another core, or none."""
    if not present:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", _NEIGHBOUR])
    os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    time.sleep(5)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def variation(values: list[float]) -> float:
    """Coefficient of variation; of fewer than three values there is none."""
    return float(np.std(values, ddof=1) / np.mean(values)) if len(values) > 2 else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--canary", type=Path, help="folder that remembers runs (default: a new one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = [(name, precision) for precision in PRECISIONS for name in NETWORKS]
    values: dict[tuple[str, str, bool, str], list[float]] = defaultdict(list)
    with ExitStack() as open_ones, TemporaryDirectory() as folder:
        engine, prepared, files = load_engine("openvino"), {}, {}
        targets = {precision: Target(precision=precision, protocol=SEARCH) for precision in PRECISIONS}
        canaries = {p: open_ones.enter_context(engine.prepare(Canary(), job_of(targets[p]))) for p in PRECISIONS}
        for name, precision in cells:
            target = targets[precision]
            module = build(named(name)).eval().requires_grad_(False)
            randomise_constants(module)
            module, job = deployed(module, target.resolution), job_of(target)
            prepared[name, precision] = open_ones.enter_context(engine.prepare(module, job))
            files[name] = Path(folder) / f"{name.replace('/', '-')}.onnx"
            if not files[name].exists():
                write_onnx(Flat(module), job.pictures, files[name], any_batch=False)
        store = options.canary or Path(folder)
        store.mkdir(parents=True, exist_ok=True)
        units = {p: calibrate(target, canary_folder=store, lock=None) for p, target in targets.items()}
        cores = sorted(os.sched_getaffinity(0))
        for repeat in range(options.repeats):
            for loaded in (False, True) if repeat % 2 else (True, False):
                with neighbour(loaded):
                    os.sched_setaffinity(0, cores[:1] if loaded else cores)
                    for name, precision in cells:
                        here, target = prepared[name, precision], targets[precision]
                        usual = usual_canary(units[precision], target, store)
                        (reading,) = compare(
                            [here.run],
                            canaries[precision].run,
                            target.protocol,
                            clock=time.perf_counter,
                            stopwatch=stopwatch(target),
                            usual=usual.seconds,
                            scatter=usual.scatter,
                        )
                        remember_run(target, store, undisturbed_seconds(reading.pairs.canary))
                        values[name, precision, loaded, "ours"].append(reading.ratio.value)
                        if reading.undisturbed > 0:
                            values[name, precision, loaded, "undisturbed"].append(reading.ratio.value)
                        values[name, precision, loaded, "mean of 40"].append(mean_of_steps(here, target.batch))
                        values[name, precision, loaded, "benchmark_app"].append(benchmark_app(files[name], precision))
                os.sched_setaffinity(0, cores)
            print(f"repeat {repeat + 1} of {options.repeats}, load average {os.getloadavg()[0]:.1f}", flush=True)
    grid = Table(title=f"Coefficient of variation of {options.repeats} repeats; OpenVINO, 64 px, batch 8, one thread")
    heads = (
        "network",
        "precision",
        "neighbour",
        *WAYS,
        "mean of 40 / ours",
        "benchmark_app / ours",
        "undisturbed",
        "of",
    )
    for column in heads:
        grid.add_column(column)
    for loaded in (False, True):
        for name, precision in cells:
            ours, mean, app = (variation(values[name, precision, loaded, way]) for way in WAYS)
            quiet = values[name, precision, loaded, "undisturbed"]
            row = [f"{one:.1%}" for one in (ours, mean, app)] + [f"{mean / ours:.1f}", f"{app / ours:.1f}"]
            row += [f"{variation(quiet):.1%}", f"{len(quiet)}"]
            grid.add_row(name, precision, "at work" if loaded else "none", *row)
    Console(width=130).print(grid)


if __name__ == "__main__":
    main()
