"""What `auto` stands for: one engine and one device, and why."""

import importlib.util
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from eradio.errors import EradioError
from eradio.profile.engines import LISTINGS
from eradio.profile.engines.base import Device, Precision

PREFERRED: dict[Device, tuple[str, ...]] = {
    "cuda": ("tensorrt", "inductor", "eager"),
    "cpu": ("openvino", "onnxruntime", "eager"),
}
"""The fastest first, as far as such networks have been measured.

torch.compile is not among the CPU's: it is no faster there than the first two and compiles for a minute.
"""


TAKE_FILES = ("openvino", "onnxruntime")
"""Engines that take ONNX files."""


class Choice(NamedTuple):
    """What was picked."""

    engine: str
    device: Device
    reason: str
    """A sentence, or empty where the user had picked both."""


def choose(
    engine: str,
    device: Device | Literal["auto"],
    precision: Precision,
    *,
    files: bool = False,
    installed: Callable[[str], bool] | None = None,
    gpu: Callable[[], bool] = torch.cuda.is_available,
) -> Choice:
    """Settle the engine and the device where either is `auto`.

    Args:
        engine: an engine's name, or auto.
        device: cpu, cuda or auto: the GPU where PyTorch sees one and the engine runs on it.
        precision: the engine has to offer it.
        files: whether an ONNX file is among what it has to take.
        installed: whether the library of an engine can be imported.
        gpu: whether PyTorch sees an NVIDIA GPU.

    Raises:
        EradioError: no installed engine offers this precision on the device.
    """
    here, visible = installed or is_installed, gpu()
    told = f"PyTorch sees {'an' if visible else 'no'} NVIDIA GPU"
    if engine != "auto":
        sides: tuple[Device, ...] = tuple(LISTINGS[engine].offers) if engine in LISTINGS else ("cpu",)
        if device != "auto":
            return Choice(engine, device, "")
        if len(sides) == 1:
            return Choice(engine, sides[0], "")
        return Choice(engine, "cuda" if visible else "cpu", f"Device {'cuda' if visible else 'cpu'}: {told}.")
    sides = (device,) if device != "auto" else ("cuda", "cpu") if visible else ("cpu",)
    if files and device == "auto":
        sides = ("cpu",)
    passed: list[str] = []
    for side in sides:
        for name in PREFERRED[side]:
            if precision not in LISTINGS[name].offers.get(side, ()):
                passed.append(f"{name} has no {precision} on {side}")
            elif files and name not in TAKE_FILES:
                passed.append(f"{name} takes no ONNX file")
            elif not here(name):
                passed.append(f"{name} is not installed ({LISTINGS[name].install})")
            else:
                why = [told] if device == "auto" else []
                why += [f"{name} is the first of {', '.join(PREFERRED[side])} that is installed and offers {precision}"]
                return Choice(name, side, f"Engine {name} on {side}: {'; '.join(why + passed)}.")
    raise EradioError(f"No engine offers {precision} on {' or '.join(sides)}: {'; '.join(passed)}.")


def is_installed(engine: str) -> bool:
    """Whether the library of an engine can be found; it is not imported."""
    return importlib.util.find_spec(LISTINGS[engine].library) is not None
