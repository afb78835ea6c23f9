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
LARGEST_ERROR = 1e-4


def check(architecture: Architecture) -> dict[str, object]:
    """What each export of one network gave: the largest error over the deviation, or why it failed."""
    began = time.monotonic()
    module = build(architecture).eval()
    assert isinstance(module, Backbone)
    module.set_input_size((SIDE, SIDE))
    row: dict[str, object] = {"digest": architecture.digest(), "words": describe(architecture)}
    row["parameters"] = sum(parameter.numel() for parameter in module.parameters())
    pictures = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = module(pictures)
        row["deploy"] = error(deploy(module, (SIDE, SIDE))(pictures), wanted)
    trained = Trained("network", architecture, module, "random weights")
    with TemporaryDirectory() as folder:
        try:
            (program,) = export(trained, "torch", Path(folder), SIDE)
            row["torch.export"] = error(torch.export.load(program).module()(pictures), wanted)
            (onnx,) = export(trained, "onnx", Path(folder), SIDE)
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
    for way in ("deploy", "torch.export", "ONNX Runtime", "torch.compile"):
        errors = [float(row[way]) for row in rows if way in row]
        within = sum(one <= LARGEST_ERROR for one in errors)
        console.print(
            f"{way}: {within} of {len(rows)} within {LARGEST_ERROR:g} of the deviation; "
            f"median {np.median(errors):.1e}, largest {max(errors):.1e}"
        )
    for row in rows:
        for key in ("failure", "graph break"):
            if key in row:
                console.print(f"{key}: {row['words']}: {row[key]}", markup=False)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv[1:]))
    target = Path(arguments.get(2, "runs/export-wide.jsonl"))
    main(int(arguments.get(0, 200)), int(arguments.get(1, 0)), target)
