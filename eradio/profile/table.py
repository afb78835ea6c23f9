"""A measurement for a terminal, and for a program."""

import json
from collections.abc import Mapping

from rich.table import Table

from eradio.interval import Interval
from eradio.profile.record import Measurement
from eradio.search_space.windows import windows_in_words


def table(measurements: Mapping[str, Measurement]) -> Table:
    """One row a network: throughput with its interval, and what it would have cost on paper.

    Args:
        measurements: by the network's name, in the order of the rows.
    """
    grid = Table(caption=_caption(measurements))
    grid.add_column("network", no_wrap=True)
    for heading in ("images/s", "95 % interval", "× canary", "ms a batch", "M params", "GMACs", "calls"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("verdict")
    for name, found in measurements.items():
        grid.add_row(
            name,
            f"{found.throughput.value:,.0f}",
            _range(found.throughput),
            f"{found.ratio.value:.3f} ± {found.ratio.half_width():.1%}",
            f"{found.latency_ms:.2f}",
            f"{found.parameters / 1e6:.2f}",
            f"{found.gmacs:.3f}",
            str(found.calls),
            found.verdict,
        )
    return grid


def as_json(measurements: Mapping[str, Measurement]) -> str:
    """The whole measurements by name, as indented JSON."""
    plain = {name: found.model_dump(mode="json") for name, found in measurements.items()}
    return json.dumps(plain, indent=2, allow_nan=False)


def _range(interval: Interval) -> str:
    return f"{interval.low:,.0f} to {interval.high:,.0f}"


def _caption(measurements: Mapping[str, Measurement]) -> str:
    targets = {found.target: None for found in measurements.values()}
    lines = [
        f"{target.engine} {target.precision}, batch {target.batch}, {target.resolution} px, "
        f"{target.threads} thread{'s' * (target.threads > 1)}"
        for target in targets
    ]
    for name, found in measurements.items():
        lines += [f"{name}: windows {windows_in_words(found.windows)}"] if found.windows else []
    if any(found.verdict == "unsettled" for found in measurements.values()):
        lines.append("unsettled: the interval was still wider than asked for when time was up")
    return "\n".join(lines)
