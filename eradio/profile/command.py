"""What `eradio profile` does, short of printing."""

import os
from pathlib import Path

from eradio.errors import EradioError
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile.measuring import measure
from eradio.profile.record import Measurement
from eradio.profile.target import Target
from eradio.search_space import Architecture, fit_windows, named, with_window


def profile_command(
    name: str, target: Target, window: int | None = None, canary_folder: Path | None = None
) -> Measurement:
    """Measure a network by name: one of ours, `timm/NAME`, or an architecture file.

    A network of ours is measured with the windows that suit the target's resolution (see `fit_windows`).

    Args:
        name: as `eradio.search_space.named` takes it.
        target: what it is measured on.
        window: side of all its windows, instead of those.
        canary_folder: where the canary's rates are stored; the user's cache folder if None.

    Raises:
        EradioError: the name is unknown, a window is asked of a network of timm's, or the measurement failed.
    """
    folder = canary_folder or default_canary_folder()
    network = named(name)
    if isinstance(network, Architecture):
        side = (target.resolution, target.resolution)
        network = fit_windows(network, side) if window is None else with_window(network, window)
    elif window is not None:
        raise EradioError(f"--window is for architectures of ours; '{name}' is timm's, with options of its own.")
    return measure(network, target, canary_folder=folder, lock=DeviceLock(default_lock_folder(), "cpu"))


def default_canary_folder() -> Path:
    """The user's cache folder, so that all measurements of one host share the canary's stored rates."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eradio"
