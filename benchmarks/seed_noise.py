"""How far the order of networks at the last rung is their own: some members of the table, taught with another seed.

The seed decides the first weights, the pictures and their crops. An early rung shares them with its own last one, and
so may agree with it better than the last one does with that of another seed. Named alternative: the shipped table's own
losses of the same members, at each of its rungs. Bands are of equal throughput; intervals: 95 %, over
members.

Run: python benchmarks/seed_noise.py FOLDER [--members 96] [--seed 1]      about 10 s a member; goes on where it was
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from record_curves import RECIPE, RUNGS, Recorder
from rich.console import Console
from rich.table import Table as Rows

from eradio.agreement import tau_in_bands
from eradio.files import write_json
from eradio.search_space import Architecture
from eradio.study.simulator import Table, read_table, shipped_table

BANDS = 4
ENGINE = "openvino"


def taught_again(folder: Path, count: int, seed: int, table: Table) -> dict[str, dict[int, float]]:
    """Losses by rung of some members under another seed, by digest; kept one by one."""
    recipe = RECIPE.model_copy(update={"seed": seed})
    recorder = Recorder(folder, recipe)
    members = sorted(recorder.space.members(), key=Architecture.digest)
    some = [one for one in members if one.digest() in table.members and table.members[one.digest()].rungs][:count]
    found = {}
    for number, architecture in enumerate(some):
        path = folder / f"{architecture.digest()}-{seed}.json"
        if not path.exists():
            write_json(path, {steps: rung["loss"] for steps, rung in recorder.taught(architecture).items()})
            print(f"{number + 1} of {len(some)}", flush=True)
        found[architecture.digest()] = {int(steps): loss for steps, loss in json.loads(path.read_text()).items()}
    return found


def main(folder: Path, count: int, seed: int) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    table = read_table(shipped_table())
    again = taught_again(folder, count, seed, table)
    before = [table.members[digest] for digest in again]
    order = np.argsort([member.throughput(ENGINE) for member in before])
    bands = [np.sort(part) for part in np.array_split(order, BANDS)]
    other = {steps: np.array([losses[steps] for losses in again.values()]) for steps in RUNGS}
    own = {steps: np.array([member.rungs[steps].loss for member in before]) for steps in RUNGS}
    rows = Rows(f"{len(again)} members, tau in {BANDS} bands", f"with its own rung {RUNGS[-1]}", f"with seed {seed}'s")
    for steps in RUNGS:
        cells = [tau_in_bands(own[steps], whole[RUNGS[-1]], bands) for whole in (own, other)]
        rows.add_row(f"rung {steps}", *(f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in cells))
    console = Console(width=100, highlight=False)
    console.print(rows)
    change = np.log(other[RUNGS[-1]] / own[RUNGS[-1]])
    within = [np.log(own[RUNGS[-1]][band]) for band in bands]
    spread = np.std(np.concatenate([one - one.mean() for one in within]), ddof=BANDS)
    console.print(
        f"Another seed changes a loss by {100 * np.std(change) / np.sqrt(2):.2f} % (standard deviation of one); "
        f"members of a band differ by {100 * spread:.2f} %."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--members", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    main(given.folder, given.members, given.seed)
