"""Launchers by name: where the workers of a study run."""

import importlib
from collections.abc import Mapping

from eradio.errors import EradioError
from eradio.study.launchers.base import Launcher

_HERE = "eradio.study.launchers"
_PLACES: Mapping[str, str] = {
    "kubernetes": f"{_HERE}.kubernetes:KubernetesLauncher",
    "local": f"{_HERE}.local:LocalLauncher",
    "slurm": f"{_HERE}.slurm:SlurmLauncher",
}


def launcher_names() -> tuple[str, ...]:
    """Every launcher's name, in alphabetical order."""
    return tuple(sorted(_PLACES))


def load_launcher(name: str) -> Launcher:
    """The launcher of that name.

    Raises:
        EradioError: there is no such launcher.
    """
    if name not in _PLACES:
        raise EradioError(f"There is no launcher '{name}'. Choose one of {', '.join(launcher_names())}.")
    module, cls = _PLACES[name].split(":")
    launcher: Launcher = getattr(importlib.import_module(module), cls)()
    return launcher
