"""The searched front against the baselines' front, whole searches repeated with other seeds.

Named alternative: the hypervolume of the timm baselines, taught and measured in the same runs. Each seed is a search
of its own: other samples of the space, other pictures, other first weights. The reference point is common to all.
A search trains more networks than there are baselines, and the best of many draws looks better than the best of few;
so the ratio is given once more for as many candidates as baselines, the median over random choices of them.
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
from eradio.interval import Interval
from eradio.study.config import DEFAULT, StudyConfig
from eradio.study.search import search

# The 0.975 quantile of Student's t with n - 1 degrees of freedom, by n.
_STUDENT = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}

_DRAWS = 200


def config(seed: int) -> StudyConfig:
    """The embedded default study with another seed everywhere, and without the finalists that are not needed here."""
    plain = read_yaml(DEFAULT)
    plain |= {"name": f"seed-{seed}", "seed": seed, "finalists": 0}
    plain["recipe"] |= {"seed": seed, "data": {"kind": "scenes", "seed": seed}}
    return StudyConfig.parse(plain, str(DEFAULT))


def geometric_mean(ratios: list[float]) -> Interval:
    """Geometric mean with Student's 95 % interval: a bootstrap of a handful of values would be too narrow.

    Raises:
        SystemExit: there are fewer than three ratios, or more than the table of quantiles has.
    """
    if len(ratios) not in _STUDENT:
        raise SystemExit(f"Give {min(_STUDENT)} to {max(_STUDENT)} seeds, not {len(ratios)}.")
    logs = np.log(ratios)
    half = _STUDENT[len(logs)] * logs.std(ddof=1) / np.sqrt(len(logs))
    low, value, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return Interval(value=value, low=low, high=high)


def main(seeds: int, folder: Path) -> None:
    console = Console(width=120)
    runs = [search(folder / f"seed-{seed}", config(seed), 2, console) for seed in range(seeds)]
    fronts = [(points(run, "candidate"), points(run, "baseline")) for run in runs]
    reference = reference_of([point for pair in fronts for side in pair for point in front_of(side)])
    table = Table("seed", "searched front", "baselines", "ratio", "ratio at equal numbers")
    ratios, equal = [], []
    for seed, (ours, theirs) in enumerate(fronts):
        pair = area(ours, reference).value, area(theirs, reference).value
        ratios.append(pair[0] / pair[1])
        random = np.random.default_rng(seed)
        draws = [random.choice(len(ours), size=len(theirs), replace=False) for _ in range(_DRAWS)]
        equal.append(float(np.median([area([ours[i] for i in draw], reference).value for draw in draws])) / pair[1])
        table.add_row(str(seed), f"{pair[0]:.1f}", f"{pair[1]:.1f}", f"{ratios[-1]:.3f}", f"{equal[-1]:.3f}")
    console.print(table)
    ratio, fair = geometric_mean(ratios), geometric_mean(equal)
    console.print(
        f"Hypervolume of the searched front over the baselines': {ratio.value:.3f}, 95 % interval "
        f"[{ratio.low:.3f}, {ratio.high:.3f}] (Student's t of the logarithms) "
        f"over {seeds} seeds; reference point {reference.throughput:.0f} images/s and a loss of {reference.loss:.4f}."
    )
    console.print(f"With as many candidates as baselines: {fair.value:.3f} [{fair.low:.3f}, {fair.high:.3f}].")
    outcome = "larger" if ratio.low > 1 else "smaller" if ratio.high < 1 else "not told apart from the baselines'"
    console.print(f"Outcome: the searched front is {outcome}.")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(int(arguments[0]) if arguments else 3, Path(arguments[1]) if len(arguments) > 1 else Path("runs/seeds"))
