"""Where and with what something was made: the part of a manifest that is the same for every result."""

import contextlib
import os
import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import eradio

_LIBRARIES = (
    "torch", "torchvision", "timm", "open_clip_torch", "segment-anything", "optuna", "openvino", "fvcore",
    "numpy", "pillow",
)  # fmt: skip


@cache
def environment() -> dict[str, Any]:
    """Versions and hardware of this process, as plain data."""
    return {
        "eradio": eradio.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "driver": _driver() if torch.cuda.is_available() else None,
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "libraries": versions(_LIBRARIES),
    }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of those that are installed."""
    found = {}
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _driver() -> str | None:
    """Of the GPU, as the kernel module tells it."""
    with contextlib.suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
        match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
        return match.group(1) if match else None
    return None


def _cpu_name() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        match = None
    return match.group(1).strip() if match else platform.processor()
