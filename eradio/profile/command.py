"""What `eradio profile` does, short of printing."""

import os
from pathlib import Path

from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile.measuring import measure
from eradio.profile.record import Measurement
from eradio.profile.target import Target
from eradio.search_space import named


def profile_command(name: str, target: Target, canary_folder: Path | None = None) -> Measurement:
    """Measure a network by name: one of ours, `timm/NAME`, or an architecture file.

    Args:
        name: as `eradio.search_space.named` takes it.
        target: what it is measured on.
        canary_folder: where the canary's rates are stored; the user's cache folder if None.

    Raises:
        EradioError: the name is unknown, or the measurement failed.
    """
    folder = canary_folder or default_canary_folder()
    return measure(named(name), target, canary_folder=folder, lock=DeviceLock(default_lock_folder(), "cpu"))


def default_canary_folder() -> Path:
    """The user's cache folder, so that all measurements of one host share the canary's stored rates."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eradio"
