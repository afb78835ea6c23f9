"""What runs in the environment of TensorRT-RTX: a program by itself, which imports nothing of ours.

It says `ready`, then reads the paths of folders from standard input, one a line. Each holds `program.pt2` and, unless
that could not be written, `network.onnx`; it gets a `report.json`, and the line comes back when that is done.
"""

import gc
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the libraries print what they like to standard output
    _without_driver()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        report = {"lowering": _answer(_lower, folder / "program.pt2")}
        gc.collect()  # programs hold their weights in cycles, and the builder wants as much memory again
        if (folder / "network.onnx").exists():
            report["building"] = _answer(_build, folder / "network.onnx")
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
        print(folder, file=answers, flush=True)


def _answer(step: Callable[[Path], Answer], path: Path) -> Answer:
    """What a step found, or why it could not: whatever these libraries raise means that they cannot do it."""
    began = time.monotonic()
    try:
        return {**step(path), "seconds": time.monotonic() - began}
    except Exception as error:
        words = " ".join(str(error).split())
        return {"reason": f"{type(error).__name__}: {words[:400]}" if words else type(error).__name__}


def _without_driver() -> None:
    """Importing torch_tensorrt asks torch for a device, which is not there and not needed to plan a network."""
    import torch
    import torchvision  # noqa: F401, for the operators that it registers

    torch.cuda.get_device_capability = lambda *_, **__: (9, 0)
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda *_, **__: (16 << 30, 16 << 30)
    from torch_tensorrt.dynamo import _compiler

    _compiler.to_torch_device = lambda _: torch.device("cpu")  # where what falls back to torch would go
    if "torch-tensorrt-rtx" not in importlib.metadata.packages_distributions().get("torch_tensorrt", []):
        raise ImportError(f"{_compiler.__file__} does not belong to TensorRT-RTX")


def _lower(path: Path) -> Answer:
    """Lowering and partitioning of torch-tensorrt, up to the conversion: which operators it has converters for."""
    import torch
    from torch_tensorrt.dynamo import _compiler

    seen: list[Any] = []
    _compiler.dryrun_stats_display = lambda tracker, _: seen.append(tracker)
    program = torch.export.load(path)
    _compiler.compile(
        program, arg_inputs=program.example_inputs[0], dryrun=True, min_block_size=1, attn_bias_is_causal=False
    )
    (found,) = seen
    return {
        "operators": found.total_ops_in_graph,
        "supported": found.supported_ops_in_graph,
        "unsupported": {str(name): count for name, count in found.unsupported_ops.items()},
        "engines": found.tensorrt_graph_count,
    }


def _build(path: Path) -> Answer:
    """One engine for every generation of devices that the ahead-of-time builder offers."""
    import tensorrt_rtx as trt

    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, builder.logger)
    if not parser.parse_from_file(str(path)):
        errors = [parser.get_error(place) for place in range(parser.num_errors)]
        refused = dict.fromkeys(error.node_operator() or error.desc() for error in errors)
        raise ValueError(f"the ONNX parser refuses {', '.join(refused)}")
    config = builder.create_builder_config()
    targets = [name for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    config.num_compute_capabilities = len(targets)
    for place, name in enumerate(targets):
        config.set_compute_capability(trt.ComputeCapability.__members__[name], place)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ValueError("the builder gave no engine")
    return {"targets": targets, "layers": network.num_layers, "engine_bytes": engine.nbytes}


if __name__ == "__main__":
    main()
