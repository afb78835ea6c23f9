"""The engines by name. An engine's library is imported only when the engine is asked for."""

import importlib
from collections.abc import Mapping
from typing import NamedTuple

from eradio.errors import EradioError
from eradio.profile.engines.base import Device, Engine, Precision


class Listing(NamedTuple):
    """What is known of an engine without importing it."""

    place: str
    """Module and class."""
    library: str
    """What it imports."""
    install: str
    """The line that installs its library."""
    offers: Mapping[Device, tuple[Precision, ...]]
    """Precisions by device."""
    packages: tuple[str, ...] = ()
    """Further distributions whose versions decide its speed."""


_HERE = "eradio.profile.engines"
LISTINGS: Mapping[str, Listing] = {
    "eager": Listing(
        f"{_HERE}.eager:Eager",
        "torch",
        "pip install torch",
        {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")},
    ),
    "inductor": Listing(
        f"{_HERE}.inductor:Inductor",
        "torch",
        "pip install torch",
        {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")},
        ("triton",),
    ),
    "onnxruntime": Listing(
        f"{_HERE}.onnxruntime:OnnxRuntime",
        "onnxruntime",
        "pip install 'eradio[onnx]'",
        {"cpu": ("fp32", "int8")},
        ("onnxruntime", "onnx", "onnxscript"),
    ),
    "openvino": Listing(
        f"{_HERE}.openvino:OpenVino", "openvino", "pip install openvino", {"cpu": ("fp32", "bf16", "int8")}, ("nncf",)
    ),
    "tensorrt": Listing(
        f"{_HERE}.tensorrt:TensorRt",
        "torch_tensorrt",
        "pip install 'eradio[tensorrt]'",
        {"cuda": ("fp32", "fp16", "bf16")},
        ("torch-tensorrt", "tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    ),
}


def engine_names() -> tuple[str, ...]:
    """Every engine's name, in alphabetical order."""
    return tuple(sorted(LISTINGS))


def load_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        EradioError: there is no such engine, or its library is not installed.
    """
    if name not in LISTINGS:
        raise EradioError(f"There is no engine '{name}'. Choose one of {', '.join(engine_names())}.")
    listing = LISTINGS[name]
    module, cls = listing.place.split(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), cls)()
    except ImportError as error:
        raise EradioError(
            f"Engine '{name}' needs a library that cannot be imported ({error}). Run: {listing.install}"
        ) from None
    return engine
