"""Forward speed of two E-RADIOs: training form, deploy form and each installed engine, as ratios in one run.

Named alternative: the training form in eager. Each way's blocks alternate with the alternative's, and the ratio has a
block bootstrap's 95 % interval; one thread, float32, one picture of 224 pixels, windows of 7.

Run: python benchmarks/forward_speed.py [seconds a way]
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from eradio.export import Trained, export
from eradio.interval import Interval
from eradio.profile import Target, complexity
from eradio.profile.engines import engine_names, load_engine
from eradio.profile.engines.base import Job, Prepared
from eradio.profile.measuring import stopwatch
from eradio.profile.ready import fixed_pictures
from eradio.profile.target import Protocol
from eradio.profile.throughput import compare
from eradio.profile.warming import Run
from eradio.search_space import Architecture, Backbone, build, deploy, fit_windows, named

NAMES = ("e_radio_xxxtiny", "e_radio_b")
SIDE = 224


def onnx_runtime(architecture: Architecture, module: Backbone, pictures: torch.Tensor, folder: Path) -> Run:
    """Calls of the ONNX export in ONNX Runtime with one thread."""
    (file,), _ = export(Trained("network", architecture, module, "random weights", "own"), "onnx", folder, SIDE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    given = {"pictures": pictures.numpy()}
    return lambda calls: [session.run(None, given) for _ in range(calls)]


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
        ways: list[tuple[str, Run, Prepared | None]] = []
        for engine in engine_names():
            prepared = load_engine(engine).prepare(folded, Job(pictures))
            ways.append((f"deploy form, {engine}", prepared.run, prepared))
        with TemporaryDirectory() as folder:
            ways.append(("deploy form, ONNX Runtime", onnx_runtime(architecture, module, pictures, Path(folder)), None))
            prepared = load_engine("openvino").prepare(module, Job(pictures))
            ways.append(("training form, openvino", prepared.run, prepared))
            for way, run, _ in ways:
                (reading,) = compare(
                    [run], baseline.run, protocol, clock=time.perf_counter, stopwatch=stopwatch(target)
                )
                table.add_row(name, way, *_cells(reading.ratio), f"{reading.pairs.candidate.mean() * 1e3:.1f}")
        for _, _, opened in ways:
            if opened is not None:
                opened.close()
        baseline.close()
        console.print(f"{name}: {complexity(module, SIDE).gmacs:.3f} GMACs")
    console.print(table)


def _cells(ratio: Interval) -> tuple[str, str]:
    return f"{ratio.value:.2f}", f"[{ratio.low:.2f}, {ratio.high:.2f}]"


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 12.0)
