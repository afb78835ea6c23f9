"""What `eradio profile --coverage` does, short of printing."""

from eradio.profile.command import network_for
from eradio.profile.coverage import coverage
from eradio.profile.coverage.report import Coverage, coverage_table
from eradio.profile.target import Target
from eradio.search_space import build

__all__ = ["coverage_command", "coverage_table"]


def coverage_command(name: str, target: Target, window: str | None = None) -> Coverage:
    """Ask for a network by name, at the target's resolution and batch. See `profile_command` and `coverage`.

    Raises:
        EradioError: there is no such network, or TensorRT-RTX is not installed.
    """
    module = build(network_for(name, target.resolution, window)).eval().requires_grad_(False)
    return coverage(module, target.resolution, target.batch, name)
