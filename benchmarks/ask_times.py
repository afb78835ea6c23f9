"""What a sampler takes to propose a candidate, by how many trials there are.

Named alternative: the same sampler that is shown all trials. Two thirds of the trials are halted; printed are medians
of processor milliseconds over 15 draws, the first left out, with their 95 % bootstrap intervals.

Run: python benchmarks/ask_times.py [space]      about 5 minutes
"""

import sys
import time
import warnings

import numpy as np
import optuna
from optuna.study import Study
from rich.console import Console
from rich.table import Table

from eradio.interval import bootstrap_interval, median
from eradio.search_space import SearchSpace
from eradio.study.samplers import sampler

TRIALS = (500, 2000, 5000, 20000)
DRAWS = 15
SEEN = 2000


def filled(space: SearchSpace, trials: int) -> Study:
    """A study of so many ended trials; beyond some, parameters are drawn again from those."""
    study, random = (
        optuna.create_study(directions=["minimize", "maximize"], sampler=sampler("random", 0)),
        np.random.default_rng(0),
    )
    for number in range(trials):
        across = float(random.normal())
        values = [across, across + 0.5 * float(random.normal())]
        if number < SEEN:
            trial = study.ask()
            space.suggest(trial)
            trial.set_constraint("halted", float(number % 3 > 0))
            study.tell(trial, values)
            continue
        like = study.get_trials(deepcopy=False)[int(random.integers(SEEN))]
        again = optuna.trial.create_trial(
            params=like.params, distributions=like.distributions, values=values, system_attrs=like.system_attrs
        )
        study.add_trial(again)
    return study


def milliseconds(study: Study, space: SearchSpace) -> list[float]:
    """Of processor time, draw by draw."""
    laps = []
    for _ in range(DRAWS + 1):
        start = time.process_time()
        trial = study.ask()
        space.suggest(trial)
        laps.append(1000 * (time.process_time() - start))
        trial.set_constraint("halted", 0)
        study.tell(trial, [0.0, 0.0])
    return laps[1:]


def main(name: str) -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, rows = SearchSpace.named(name), Table(f"{name}, trials", "TPE, view", "TPE, all", "NSGA-II", "random")
    for trials in TRIALS:
        study, cells = filled(space, trials), []
        for kind, latest in (("tpe", None), ("tpe", 10**9), ("nsga2", None), ("random", None)):
            study.sampler = sampler(kind, 0, latest)
            one = bootstrap_interval(np.array(milliseconds(study, space)), median)
            cells.append(f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]")
        rows.add_row(f"{trials}", *cells)
    Console(width=100).print(rows)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tiny")
