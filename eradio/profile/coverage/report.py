"""What TensorRT can take of a network, as data and as a table."""

from rich.table import Table
from rich.text import Text

from eradio.description import Description


class Lowered(Description):
    """What torch-tensorrt's lowering and partitioning made of a network."""

    operators: int
    """Operators left after lowering."""
    supported: int
    """Those of them that have a converter."""
    unsupported: dict[str, int]
    """How often each of the others stands there."""
    engines: int
    """Engines the network is cut into; whatever has no converter lies between them."""
    seconds: float


class Built(Description):
    """An engine that TensorRT-RTX built ahead of time from the network's ONNX file."""

    targets: tuple[str, ...]
    """Generations of devices the one engine is for."""
    layers: int
    """Layers of the parsed network, before the builder fuses them."""
    engine_bytes: int
    seconds: float


class Refused(Description):
    """Why there is no answer, which counts as not covered."""

    reason: str


class Coverage(Description):
    """Whether TensorRT takes a network: two tools, asked independently."""

    network: str
    resolution: int
    batch: int
    lowering: Lowered | Refused
    building: Built | Refused

    def complete(self) -> bool:
        """Whether every operator has a converter, one engine holds them all, and a real one was built."""
        lowered = self.lowering
        return (
            isinstance(lowered, Lowered)
            and (lowered.supported, lowered.engines) == (lowered.operators, 1)
            and isinstance(self.building, Built)
        )


def coverage_table(found: Coverage) -> Table:
    """Both answers in words."""
    grid = Table(title=Text(f"{found.network}, batch {found.batch}, {found.resolution} px"), title_justify="left")
    grid.add_column("TensorRT without a device", no_wrap=True)
    grid.add_column("answer")
    lowered, built = found.lowering, found.building
    if isinstance(lowered, Refused):
        grid.add_row("lowering (torch-tensorrt)", Text(f"not covered: {lowered.reason}"))
    else:
        words = f"{lowered.supported} of {lowered.operators} operators have a converter"
        grid.add_row("lowering (torch-tensorrt)", Text(f"{words}; engines: {lowered.engines}"))
        for name, count in lowered.unsupported.items():
            grid.add_row("no converter", Text(f"{name}, {count} of them"))
    if isinstance(built, Refused):
        grid.add_row("building (TensorRT-RTX)", Text(f"not covered: {built.reason}"))
    else:
        words = f"an engine of {built.engine_bytes / 1e6:,.1f} MB for {', '.join(built.targets)}"
        grid.add_row("building (TensorRT-RTX)", Text(f"{words} in {built.seconds:.1f} s"))
    return grid
