"""Is our throughput the one that others measure on the same artifact?

Our protocol's blocks, OpenVINO `benchmark_app`'s own loop and ONNX Runtime's own loop (`session.run` on a NumPy array)
take turns in one run on the same ONNX file, beside the canary, all by the elapsed clock that they use. Named
alternatives: those two loops. Printed is ours over theirs with its 95 % interval, and how far the rate that
`benchmark_app` itself reports is from what our clock saw of it. Both loops give every call outputs of its own; so do
ours here (`outputs`), though `run`, which is what a profile measures, leaves them where the engine wrote them.

    python benchmarks/agreement_with_others.py [--side 224] [--seconds 60]      about 9 minutes
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from eradio.onnx_file import write_onnx
from eradio.profile import Protocol, Target
from eradio.profile.canary import Canary
from eradio.profile.engines import load_engine
from eradio.profile.engines.base import Flat, Prepared
from eradio.profile.randomise import randomise_constants
from eradio.profile.ready import deployed, fixed_pictures, job_of
from eradio.profile.series import series_interval
from eradio.profile.throughput import compare
from eradio.search_space import build, fit_windows, named

NETWORKS = ("e_radio_mini", "timm/mobilenetv3_small_050", "timm/resnet10t", "e_radio_xxxtiny")

Loop = Callable[[int], object]


class BenchmarkApp:
    """The synchronous loop of OpenVINO's `benchmark_app`, one stream, in this process."""

    def __init__(self, file: Path) -> None:
        from openvino.tools.benchmark.benchmark import Benchmark
        from openvino.tools.benchmark.utils.inputs_filling import DataQueue

        self.app = Benchmark("CPU", number_iterations=1, api_type="sync", inference_only=True)
        model = self.app.read_model(str(file))
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        (self.request,) = self.app.create_infer_requests(self.app.core.compile_model(model, "CPU", settings))
        shape = tuple(model.input(0).shape)
        self.request.set_input_tensors({0: _tensor(np.random.default_rng(0).random(shape, dtype=np.float32))})
        self.queue = DataQueue({}, [shape[0]])
        self.reported: list[float] = []
        self.seen: list[float] = []

    def __call__(self, calls: int) -> None:
        """That many calls of its loop."""
        self.app.niter = calls
        start = time.perf_counter()
        _, seconds, iterations = self.app.sync_inference(self.request, self.queue)
        self.seen.append((time.perf_counter() - start) / calls)
        self.reported.append(seconds / iterations)


def _tensor(values: np.ndarray) -> object:
    import openvino

    return openvino.Tensor(values)


def onnx_runtime_loop(file: Path, pictures: np.ndarray) -> Loop:
    """`session.run` again and again, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(calls: int) -> None:
        for _ in range(calls):
            session.run(None, {name: pictures})

    return run


def kept(ours: Prepared) -> Loop:
    """Our engine, its outputs copied after every call."""

    def run(calls: int) -> None:
        for _ in range(calls):
            ours.outputs()

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    protocol = Protocol(half_width=0.002, min_seconds=options.seconds / 2, max_seconds=options.seconds / 2, looks=1)
    grid = Table(
        title=f"Ours over theirs, images/s on the same ONNX file; {options.side} px, batch 8, one thread, float32"
    )
    for column in ("network", "benchmark_app", "ONNX Runtime's loop", "benchmark_app's report over our clock"):
        grid.add_column(column)
    side = options.side
    for name in NETWORKS:
        target = Target(resolution=side, protocol=protocol)
        network = named(name)
        module = build(fit_windows(network, (side, side)) if name.startswith("e_radio") else network).eval()  # type: ignore[arg-type]
        randomise_constants(module.requires_grad_(False))
        job, cells = job_of(target), []
        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.onnx"
            write_onnx(Flat(deployed(module, side)), job.pictures, file, any_batch=False)
            for engine in ("openvino", "onnxruntime"):
                theirs = (
                    BenchmarkApp(file)
                    if engine == "openvino"
                    else onnx_runtime_loop(file, np.asarray(fixed_pictures(target)))
                )
                loaded = load_engine(engine)
                with loaded.prepare_onnx(file, job) as ours, loaded.prepare(Canary(), job) as canary:  # type: ignore[attr-defined]
                    mine, other = compare(
                        [kept(ours), theirs],
                        canary.run,
                        protocol,
                        clock=time.perf_counter,
                        stopwatch=time.perf_counter,
                    )
                both = series_interval(mine.pairs.log_ratio() - other.pairs.log_ratio()).exponential()
                inside = "inside" if both.low >= 0.97 and both.high <= 1.03 else "outside"
                call = 1e3 * float(np.median(other.pairs.candidate))
                more = 1e3 * call * (1 - 1 / both.value)
                cells.append(
                    f"{both.value:.4f} [{both.low:.4f}, {both.high:.4f}] {inside} ±3 %\n{more:+.0f} µs of {call:.3g} ms"
                )
                if isinstance(theirs, BenchmarkApp):
                    report = f"{np.median(np.array(theirs.seen) / np.array(theirs.reported)):.4f}"
        grid.add_row(name, *cells, report)
    Console(width=150).print(grid)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
