"""Networks with a name: E-RADIO of both generations, miniatures of it, and baselines from timm."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import yaml

from eradio.description import read_yaml
from eradio.errors import EradioError
from eradio.files import read_json
from eradio.search_space.network import Network, parse_network
from eradio.search_space.timm_network import TimmNetwork, check_timm_name


class NamedNetwork(NamedTuple):
    """A network and what to call it."""

    name: str
    network: Network


def named(name: str) -> Network:
    """The network behind a name of the zoo, `timm/NAME`, or the path of a .json or .yaml file.

    Raises:
        EradioError: nothing has this name (the closest names are listed), or the file describes no network.
    """
    if name.endswith((".json", ".yaml", ".yml")):
        return parse_network(read_json(Path(name)) if name.endswith(".json") else read_yaml(name), name)
    if name.startswith("timm/"):
        check_timm_name(name.removeprefix("timm/"))
        return TimmNetwork(name=name.removeprefix("timm/"))
    known = zoo()
    if name not in known:
        close = get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise EradioError(
            f"No network is called '{name}'; close names are {', '.join(close)}. "
            "Others are timm/NAME, or the path of a .json or .yaml file."
        )
    return known[name]


def zoo() -> Mapping[str, Network]:
    """Every network that has a name here."""
    return {**_file("e_radio"), **_file("baselines_tiny"), **_file("baselines_paper")}


def baselines(world: str) -> tuple[NamedNetwork, ...]:
    """The networks from timm that a study in this world compares itself with, in families of two or three sizes.

    Raises:
        EradioError: there are no baselines for this world.
    """
    name = f"baselines_{world}"
    if not _folder().joinpath(f"{name}.yaml").is_file():
        worlds = sorted(
            entry.name.removeprefix("baselines_").removesuffix(".yaml")
            for entry in _folder().iterdir()
            if entry.name.startswith("baselines_")
        )
        raise EradioError(f"There are no baselines for '{world}'; there are some for {', '.join(worlds)}.")
    return tuple(NamedNetwork(*item) for item in _file(name).items())


def _folder() -> Path:
    return Path(str(files("eradio.search_space"))) / "zoo"


@cache
def _file(name: str) -> Mapping[str, Network]:
    path = _folder() / f"{name}.yaml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: parse_network(data, f"{path}, {key}") for key, data in entries.items() if key[0] != "."}
