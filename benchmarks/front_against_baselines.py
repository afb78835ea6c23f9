"""The searched front against the baselines' front, whole searches repeated with other seeds.

Named alternative: the hypervolume of the timm baselines, taught and measured in the same runs. Each seed is a search
of its own: other samples of the space, other pictures, other first weights. The reference point is common to all.
An interrupted benchmark goes on where it was.

Run: python benchmarks/front_against_baselines.py [seeds] [folder]
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from eradio.analysis.outcome import area, reference_of
from eradio.analysis.points import front_of, points
from eradio.description import read_yaml
from eradio.interval import bootstrap_interval, mean
from eradio.study.config import DEFAULT, StudyConfig
from eradio.study.search import search


def config(seed: int) -> StudyConfig:
    """The embedded default study with another seed everywhere, and without the finalists that are not needed here."""
    plain = read_yaml(DEFAULT)
    plain |= {"name": f"seed-{seed}", "seed": seed, "finalists": 0}
    plain["recipe"] |= {"seed": seed, "data": {"kind": "scenes", "seed": seed}}
    return StudyConfig.parse(plain, str(DEFAULT))


def main(seeds: int, folder: Path) -> None:
    console = Console(width=120)
    runs = [search(folder / f"seed-{seed}", config(seed), 2, console) for seed in range(seeds)]
    fronts = [(points(run, "candidate"), points(run, "baseline")) for run in runs]
    reference = reference_of([point for pair in fronts for side in pair for point in front_of(side)])
    table = Table("seed", "searched front", "baselines", "ratio")
    ratios = []
    for seed, (ours, theirs) in enumerate(fronts):
        pair = area(ours, reference).value, area(theirs, reference).value
        ratios.append(pair[0] / pair[1])
        table.add_row(str(seed), f"{pair[0]:.1f}", f"{pair[1]:.1f}", f"{ratios[-1]:.3f}")
    console.print(table)
    # A geometric mean, since what is averaged are ratios.
    logs = bootstrap_interval(np.log(ratios), mean)
    low, value, high = np.exp([logs.low, logs.value, logs.high])
    console.print(
        f"Hypervolume of the searched front over the baselines': {value:.3f}, 95 % interval [{low:.3f}, {high:.3f}] "
        f"over {seeds} seeds; reference point {reference.throughput:.0f} images/s and a loss of {reference.loss:.4f}."
    )
    outcome = "larger" if low > 1 else "smaller" if high < 1 else "not told apart from the baselines'"
    console.print(f"Outcome: the searched front is {outcome}.")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(int(arguments[0]) if arguments else 3, Path(arguments[1]) if len(arguments) > 1 else Path("runs/seeds"))
