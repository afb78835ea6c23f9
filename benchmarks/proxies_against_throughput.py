"""How wrong would parameters, GMACs and activations rank networks of nearly equal GMACs?

Members of the widest space within a narrow band of GMACs, each measured on two or three engines; printed is Kendall's
tau-b between measured throughput and each proxy (fewer is better), and between engines, with a bootstrap's 95 %
interval over networks. Named alternative: the proxies themselves, which searches use in place of measuring.

Every network's record goes to a file, so an interrupted benchmark goes on where it was.

    python benchmarks/proxies_against_throughput.py [networks] [file]      about 40 minutes for 32
"""

import json
import os
import sys
from collections.abc import Iterator
from itertools import combinations, count, islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from eradio.agreement import tau_in_bands
from eradio.errors import EradioError
from eradio.files import cache_folder
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile import Target, complexity, measure
from eradio.profile.target import SEARCH
from eradio.search_space import Architecture, SearchSpace, build, fit_windows, sample

ENGINES = ("openvino", "onnxruntime", "eager")
BAND = (0.2, 0.4)
"""GMACs at `SIDE` pixels: a factor of two, as in a search's band."""

SIDE, BATCH = 64, 8
PROXIES = ("parameters", "gmacs", "activations")


def members(seed: int = 0) -> Iterator[Architecture]:
    """Members of `wide` in the band, with windows that fit."""
    space = SearchSpace.named("wide")
    for number in count():
        for drawn in islice(sample(space, seed + number), 1):
            architecture = fit_windows(drawn, (SIDE, SIDE))
            try:
                if BAND[0] <= complexity(build(architecture), SIDE).gmacs <= BAND[1]:
                    yield architecture
            except EradioError:
                continue


def main(networks: int, file: Path) -> None:
    torch.set_num_threads(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = {}
    if file.exists():
        rows = {row["digest"]: row for row in map(json.loads, file.read_text().splitlines())}
    lock = DeviceLock(default_lock_folder(), "cpu")
    for architecture in track(list(islice(members(), networks)), "networks"):
        if architecture.digest() in rows:
            continue
        row: dict[str, object] = {"digest": architecture.digest()}
        for engine in ENGINES:
            target = Target(engine=engine, resolution=SIDE, batch=BATCH, protocol=SEARCH)
            found = measure(architecture, target, canary_folder=cache_folder(), lock=lock)
            row |= {name: getattr(found, name) for name in PROXIES}
            row |= {engine: found.ratio.value, f"{engine} half-width": found.ratio.half_width()}
        rows[architecture.digest()] = row
        with file.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    table = {name: np.array([float(row[name]) for row in rows.values()]) for name in (*PROXIES, *ENGINES)}
    whole = [np.arange(len(rows))]
    grid = Table(title=f"Kendall tau-b over {len(rows)} networks of {BAND[0]} to {BAND[1]} GMACs, {SIDE} px")
    for column in ("throughput on", *(f"fewer {name}" for name in PROXIES), *ENGINES):
        grid.add_column(column)
    for engine in ENGINES:
        against = [tau_in_bands(table[engine], -table[name], whole) for name in PROXIES]
        against += [tau_in_bands(table[engine], table[other], whole) for other in ENGINES]
        grid.add_row(engine, *(f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in against))
    console = Console(width=150)
    console.print(grid)
    for engine in ENGINES:
        widths = [float(row[f"{engine} half-width"]) for row in rows.values()]
        span = table[engine].max() / table[engine].min()
        console.print(f"{engine}: fastest over slowest {span:.1f}; median half-width {np.median(widths):.1%}")
    swaps = sum(
        (table["openvino"][a] - table["openvino"][b]) * (table["gmacs"][a] - table["gmacs"][b]) > 0
        for a, b in combinations(range(len(rows)), 2)
    )
    pairs = len(rows) * (len(rows) - 1) // 2
    console.print(
        f"GMACs would rank {swaps} of {pairs} pairs wrongly on OpenVINO; load average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv[1:]))
    main(int(arguments.get(0, 32)), Path(arguments.get(1, "runs/proxies.jsonl")))
