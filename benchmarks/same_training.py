"""Is a training the same however it is carried out?

Two hundred steps of one student by the embedded recipe, carried out in nine ways. Cached, resumed after a kill -9, and
in a cohort of which one member fails, its weights must be those of the plain run bit for bit. In smaller pieces, with
activations computed twice, or in two processes they may differ by rounding; named alternative for how much that is: the
same training after its first weights were changed by one part in ten million, and one with another size of group.

    python benchmarks/same_training.py [steps]      about 8 minutes for 200
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor

NETWORK = "e_radio_mini_s"
FIXED = {
    "name": "vit_tiny_patch16_224",
    "options": {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2},
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def recipe(folder: Path, name: str, steps: int, **changes: object) -> Path:
    """A recipe file; its last quarter shows other pictures, which a transformer of one side refuses."""
    plain = {
        "partitions": [{"batch": 32, "group": 8, "later": [{"step": 3 * steps // 4, "resolution": 48}]}],
        "crop": {"smallest": 0.85},
        "steps": steps,
        "targets": "live",
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**plain, **changes}))
    return path


def command(networks: Sequence[str], config: Path, out: Path, *options: str) -> list[str]:
    """The command line of a training."""
    words = [*networks, "--config", str(config), "--out", str(out), "--device", "cpu", *options]
    return [sys.executable, "-m", "eradio", "distill", *words]


def run(*words: object, expected: int = 0) -> None:
    """One training, alone."""
    done = subprocess.run(command(*words), env=ENVIRONMENT, capture_output=True, text=True)  # type: ignore[arg-type]
    if done.returncode != expected:
        sys.exit(f"{words}: status {done.returncode}: {done.stderr}")


def killed_and_resumed(config: Path, out: Path) -> None:
    """Kill -9 once the first checkpoint is there, then the same command again."""
    code = (
        "import eradio.distill.run as run, sys; run._SAVE_SECONDS = 0.0;"
        f"from eradio.cli import run_command; sys.exit(run_command({command([NETWORK], config, out)[3:]!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while not list(out.glob("checkpoints/rung-*.pt")):
        time.sleep(0.05)
    time.sleep(5)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        sys.exit("the run ended before it could be killed; give more steps")
    run([NETWORK], config, out)


def in_two(config: Path, out: Path) -> None:
    """Two processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**ENVIRONMENT, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            command([NETWORK], config, out),
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    ends = [process.wait() for process in processes]
    if any(ends):
        sys.exit("two processes: one failed")


def weights(folder: Path) -> dict[str, Tensor]:
    """The finished student."""
    return load_file(folder / "student.safetensors")


def apart(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Distance over length, of all weights together."""
    away = sum(float((first[name].double() - second[name].double()).square().sum()) for name in first)
    size = sum(float(one.double().square().sum()) for one in first.values())
    return float((away / size) ** 0.5)


def begun(folder: Path, factor: float) -> Path:
    """A student to begin with: the same first weights each time, times a factor."""
    start = folder / f"start-{factor}"
    run([NETWORK], recipe(folder, "start", 2), start)
    state = {name: one * factor if one.is_floating_point() else one for name, one in weights(start).items()}
    save_file(state, start / "student.safetensors")
    return start


def main(steps: int) -> None:
    table = Table(
        "carried out", "must be", "is", title=f"{NETWORK}, {steps} steps, weights beside those of the plain run"
    )

    def row(name: str, must: str, plain: dict[str, Tensor], found: dict[str, Tensor]) -> None:
        equal = plain.keys() == found.keys() and all(torch.equal(plain[key], found[key]) for key in plain)
        table.add_row(name, must, "equal, bit for bit" if equal else f"{apart(plain, found):.1e} apart")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live = recipe(folder, "live", steps)
        run([NETWORK], live, folder / "plain")
        plain = weights(folder / "plain")
        run([NETWORK], recipe(folder, "cached", steps, targets="cached"), folder / "cached")
        row("targets cached", "equal", plain, weights(folder / "cached"))
        killed_and_resumed(live, folder / "killed")
        row("killed and resumed", "equal", plain, weights(folder / "killed"))
        fixed = folder / "fixed.yaml"
        fixed.write_text(yaml.safe_dump(FIXED))
        run(
            [NETWORK, "e_radio_mini", str(fixed)],
            recipe(folder, "shared", steps, targets="auto"),
            folder / "cohort",
            expected=1,
        )
        row("in a cohort of 3, one of which fails", "equal", plain, weights(folder / "cohort" / NETWORK))
        run([NETWORK], live, folder / "pieces", "--micro-batch", "16")
        row("in pieces of half the batch", "rounding", plain, weights(folder / "pieces"))
        run([NETWORK], live, folder / "twice", "--checkpointing")
        row("activations computed twice", "rounding", plain, weights(folder / "twice"))
        in_two(live, folder / "two")
        row("in two processes", "rounding", plain, weights(folder / "two"))
        for factor in (1.0, 1 + 1e-7):
            run([NETWORK], live, folder / f"from-{factor}", "--start-from", str(begun(folder, factor)))
        first, second = (weights(folder / f"from-{factor}") for factor in (1.0, 1 + 1e-7))
        row("first weights times 1.0000001", "(what rounding becomes)", first, second)
        partitions = [{"batch": 32, "group": 16, "later": [{"step": 3 * steps // 4, "resolution": 48}]}]
        run([NETWORK], recipe(folder, "group", steps, partitions=partitions), folder / "group")
        row("groups of 16 in place of 8", "(another training)", plain, weights(folder / "group"))
    Console(width=120).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
