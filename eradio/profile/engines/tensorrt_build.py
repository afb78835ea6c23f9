"""One TensorRT build: a program by itself, which imports nothing of ours, in a process that ends with it.

Builds grow the process they run in, and a failed one may take it down. The folder that is given holds `program.pt2`
and, if tactics are pinned, `timing.cache`; it gets `engine.pt2` (what runs), `*.plan` (the engines alone),
`facts.json` and the timing cache.
"""

import json
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    """Build what lies in a folder."""
    import torch
    import torch_tensorrt
    from torch.export.passes import move_to_device_pass

    program = move_to_device_pass(torch.export.load(folder / "program.pt2"), "cuda")
    pictures = program.example_inputs[0]
    began = time.perf_counter()
    built = torch_tensorrt.dynamo.compile(
        program,
        arg_inputs=pictures,
        timing_cache_path=str(folder / "timing.cache"),
        immutable_weights=True,  # what one deploys; an engine that can be refitted is slower
        disable_tf32=True,  # fp32 means fp32
        min_block_size=1,  # as the coverage report has it: whatever has a converter is converted
        attn_bias_is_causal=False,  # else a position bias may be replaced by a causal mask
    )
    seconds = time.perf_counter() - began
    fallback = []
    for name, part in built.named_children():
        plan = getattr(part, "serialized_engine", None)
        if plan is not None:
            (folder / f"{name}.plan").write_bytes(plan)
        elif isinstance(part, torch.fx.GraphModule):
            calls = [str(node.target) for node in part.graph.nodes if node.op == "call_function"]
            fallback.append(", ".join(dict.fromkeys(calls)))
    facts = {"build_seconds": seconds, "fallback": fallback}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    torch_tensorrt.save(
        built, str(folder / "engine.pt2"), output_format="exported_program", arg_inputs=pictures, pickle_protocol=4
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
