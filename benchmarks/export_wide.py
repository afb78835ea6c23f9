"""Whether every network of the widest space leaves for other runtimes, over random members of it.

For each: torch.export succeeds, the ONNX export runs in ONNX Runtime within 1e-4 of eager's deviation, for another
batch size too, and torch.compile traces the training form without a graph break. Named alternative: eager. One line a
network goes to a file, so an interrupted benchmark goes on where it was.

Run: python benchmarks/export_wide.py [members] [seed] [file]
"""

import json
import logging
import sys
import time
import warnings
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.progress import track

from eradio.errors import EradioError
from eradio.export import Trained, export
from eradio.search_space import Architecture, Backbone, SearchSpace, build, deploy, describe, sample

SIDE = 64
BOUNDS = {"deploy": 1e-5, "torch.export": 1e-4, "ONNX Runtime": 1e-4, "torch.compile": 1e-4}
"""Largest error of each way over the deviation of the output; the deploy form's is compared with the training form."""


def check(architecture: Architecture) -> dict[str, object]:
    """What each export of one network gave: the largest error over the deviation, or why it failed."""
    began = time.monotonic()
    module = build(architecture).eval()
    assert isinstance(module, Backbone)
    as_if_trained(module)
    row: dict[str, object] = {"digest": architecture.digest(), "words": describe(architecture)}
    row["parameters"] = sum(parameter.numel() for parameter in module.parameters())
    pictures = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = module(pictures)
        row["deploy"] = error(deploy(module, (SIDE, SIDE))(pictures), wanted)
    trained = Trained("network", architecture, module, "random weights", "own")
    with TemporaryDirectory() as folder:
        try:
            (program,), _ = export(trained, "torch", Path(folder), SIDE)
            row["torch.export"] = error(torch.export.load(program).module()(pictures), wanted)
            (onnx,), _ = export(trained, "onnx", Path(folder), SIDE)
            session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
            given = session.run(None, {"pictures": pictures.numpy()})
            row["ONNX Runtime"] = error([torch.from_numpy(part) for part in given], wanted)
        except (EradioError, RuntimeError, ValueError) as reason:
            row["failure"] = str(reason)[:300]
    torch._dynamo.reset()
    try:
        compiled = torch.compile(module, backend="eager", fullgraph=True)
        with torch.inference_mode():
            row["torch.compile"] = error(compiled(pictures), wanted)
    except RuntimeError as reason:
        row["graph break"] = str(reason)[:300]
    return {**row, "seconds": round(time.monotonic() - began, 1)}


def as_if_trained(module: torch.nn.Module) -> None:
    """Norms with gains, shifts and statistics of their own, so that a mistake in folding them shows."""
    random = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=random))
        elif value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.randn(value.shape, generator=random))


def passed(row: dict[str, object]) -> bool:
    """Whether every way was reached and stayed within its bound."""
    return all(float(row.get(way, np.inf)) <= bound for way, bound in BOUNDS.items())  # type: ignore[arg-type]


def error(given: object, wanted: tuple[torch.Tensor, ...]) -> float:
    """Largest difference over the deviation, of the worse of summary and spatial features."""
    pairs = zip(given, wanted, strict=True)  # type: ignore[call-overload]
    return max(float((ours - theirs).abs().max() / theirs.std()) for ours, theirs in pairs)


def main(members: int, seed: int, file: Path) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    console = Console(width=120)
    done = (
        {json.loads(line)["digest"]: json.loads(line) for line in file.read_text().splitlines()}
        if file.exists()
        else {}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    chosen = list(islice(sample(SearchSpace.named("wide"), seed), members))
    for architecture in track(chosen, "networks", console=console):
        if architecture.digest() not in done:
            done[architecture.digest()] = row = check(architecture)
            with file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
    rows = [done[architecture.digest()] for architecture in chosen]
    sizes = np.quantile([float(row["parameters"]) / 1e6 for row in rows], [0, 0.5, 1])
    console.print(
        f"{len(rows)} members of 'wide', seed {seed}, {SIDE} px: {sizes[0]:.1f} to {sizes[2]:.0f} M parameters"
    )
    for way, bound in BOUNDS.items():
        errors = [float(row[way]) for row in rows if way in row]
        within = sum(one <= bound for one in errors)
        spread = f"median {np.median(errors):.1e}, largest {max(errors):.1e}" if errors else "none came through"
        console.print(f"{way}: {within} of {len(rows)} within {bound:g} of the deviation; {spread}")
    for row in rows:
        for key in ("failure", "graph break"):
            if key in row:
                console.print(f"{key}: {row['words']}: {row[key]}", markup=False)
    if not all(map(passed, rows)):
        sys.exit(1)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv[1:]))
    target = Path(arguments.get(2, "runs/export-wide.jsonl"))
    main(int(arguments.get(0, 200)), int(arguments.get(1, 0)), target)
