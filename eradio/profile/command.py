"""What `eradio profile` does, short of printing."""

from pathlib import Path

from eradio.errors import EradioError
from eradio.files import cache_folder
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile.measuring import measure
from eradio.profile.record import Measurement
from eradio.profile.target import Target
from eradio.search_space import Architecture, Network, choose_windows, named


def profile_command(
    name: str, target: Target, window: str | None = None, canary_folder: Path | None = None
) -> Measurement:
    """Measure a network by name: one of ours, `timm/NAME`, or an architecture file.

    A network of ours that is given by name has the windows that suit the target's resolution, one that is given as
    a file its own.

    Args:
        name: as `eradio.search_space.named` takes it.
        target: what it is measured on.
        window: other windows than those, as `choose_windows` takes them.
        canary_folder: where the canary's rates are stored; the user's cache folder if None.

    Raises:
        EradioError: the name is unknown, a window is asked of a network of timm's, or the measurement failed.
    """
    folder = canary_folder or default_canary_folder()
    network = network_for(name, target.resolution, window)
    return measure(network, target, canary_folder=folder, lock=DeviceLock(default_lock_folder(), "cpu"))


def network_for(name: str, resolution: int, window: str | None) -> Network:
    """The network that `profile_command` measures: what the name stands for, with its windows.

    Raises:
        EradioError: the name is unknown, or a window is asked of a network of timm's.
    """
    network = named(name)
    if isinstance(network, Architecture):
        default = "own" if Path(name).suffix else "fit"
        return choose_windows(network, (resolution, resolution), window or default)
    if window is not None:
        raise EradioError(f"--window is for architectures of ours; '{name}' is timm's, with options of its own.")
    return network


def default_canary_folder() -> Path:
    """The user's cache folder, so that all measurements of one host share the canary's stored rates."""
    return cache_folder()
