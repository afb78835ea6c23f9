"""What the command `eradio space` shows."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from eradio.errors import EradioError
from eradio.files import write_atomically, write_json
from eradio.search_space.architecture import Architecture
from eradio.search_space.diagram import as_svg, as_text
from eradio.search_space.network import describe
from eradio.search_space.sampling import sample
from eradio.search_space.space import SearchSpace, shipped
from eradio.search_space.zoo import named


def spaces_table() -> Table:
    """The shipped spaces and their sizes."""
    table = Table("space", "architectures", "block kinds")
    for name in shipped():
        space = SearchSpace.named(name)
        kinds = dict.fromkeys(kind for stage in space.stages for kind in stage.kind)
        table.add_row(name, f"{space.count():,}", ", ".join(kinds))
    return table


def choices_table(name: str) -> Table:
    """Every knob of a space and its choices; those that only some architectures have stand under their section."""
    table = Table("knob", "choices", title=f"space {name}")
    for knob, choices in _flat(SearchSpace.named(name).model_dump(mode="json", exclude={"name"}), ""):
        table.add_row(knob, Text(choices))
    return table


def write_members(name: str, count: int, seed: int, out: Path | None) -> Iterator[str]:
    """Members of a space in words, each also written to a file if `out` is given.

    Raises:
        EradioError: there is no such space, the count is below 1, or the folder cannot be written.
    """
    if count < 1:
        raise EradioError(f"--count must be at least 1, not {count}.")
    space = SearchSpace.named(name)
    if count > space.count():
        raise EradioError(f"--count must be at most {space.count()}, the size of the space, not {count}.")
    for architecture in islice(sample(space, seed), count):
        digest = architecture.digest()
        if out is not None:
            write_json(out / f"{digest}.json", architecture.model_dump(mode="json"))
        yield f"{digest}  {describe(architecture)}"


def draw(network: str, resolution: int, svg: Path | None) -> str:
    """An architecture's diagram in characters, also as SVG if a file is given.

    Raises:
        EradioError: there is no such network, it is one of timm's, or the file cannot be written.
    """
    architecture = named(network)
    if not isinstance(architecture, Architecture):
        raise EradioError(f"'{network}' is timm's own; only architectures of ours have a diagram.")
    if resolution < 1:
        raise EradioError(f"--resolution must be at least 1, not {resolution}.")
    name, side = Path(network).stem, (resolution, resolution)
    if svg is not None:
        picture = as_svg(name, architecture, side)
        write_atomically(svg, lambda file: file.write_text(picture, encoding="utf-8"))
    return as_text(name, architecture, side)


def _flat(data: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for index, value in enumerate(data):
            yield from _flat(value, f"{prefix}.{index}")
    elif isinstance(data, list):
        yield prefix, ", ".join("[" + ", ".join(one) + "]" if isinstance(one, list) else str(one) for one in data)
    elif data is not None:
        yield prefix, str(data)
