"""What says which candidate is tried next: a sampler of Optuna or OptunaHub, whose draws can be repeated."""

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.study.hub import HUB, hub_sampler
from eradio.study.trials import is_duplicate
from eradio.study.view import BoundedStudy, Shown

Maker = Callable[[int], BaseSampler]
"""Makes a sampler from a seed."""


def _tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=8)


_MAKERS: dict[str, Maker] = {
    "tpe": _tpe,
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}

GENETIC = ("nsga2", "nsga3")

KINDS = tuple(_MAKERS)
"""Samplers that are known by a short name; any other is `hub:` and the name of a package of OptunaHub."""

LATEST = {"tpe": 500, "gp": 200}
"""How many of the latest trials a sampler is shown beside the front.

Others see all: the genetic ones find the parents of a generation again by their numbers, and would lose those that are
not shown; what those of OptunaHub look for is not known.
"""


_LOOKED_BACK = 16
"""Latest draws by which a sampler is told to have come to rest."""


def sampler(kind: str, seed: int, latest: int | None = None) -> BaseSampler:
    """A sampler whose every draw follows from the seed, the trial's number and the trials it sees, and nothing else.

    Infeasible trials (`Trial.set_constraint`) count as worse than feasible ones; `random` learns from none.

    Args:
        kind: tpe, nsga2, nsga3, gp, random, or a package of OptunaHub (`hub:samplers/auto_sampler`, or with a class
            `hub:samplers/x:ClassName`); see `eradio.study.hub`.
        seed: of the study.
        latest: of how many trials a sampler learns beside the front; as in `LATEST` if it is not given.

    Raises:
        EradioError: there is no such sampler, or it cannot be had here.
    """
    make = _of_hub(hub_sampler(kind)) if kind.startswith(HUB) else _MAKERS.get(kind)
    if make is None:
        raise EradioError(
            f"There is no sampler '{kind}'; use {', '.join(KINDS)} or a package of OptunaHub, "
            "such as hub:samplers/auto_sampler."
        )
    if kind == "gp":
        _refuse_without_scipy()
    bound = latest if latest is not None else LATEST.get(kind)
    # The genetic ones vary what they draw, and would not find those again that chance drew.
    explores = kind not in (*GENETIC, "random")
    return RepeatableSampler(make, seed, None if bound is None else Shown(bound), kind in GENETIC, explores)


class RepeatableSampler(BaseSampler):
    """Makes a fresh sampler for every draw, so that workers of many machines draw as one would.

    A sampler that has come to rest draws the same few networks again and again, and the search would end there; the
    more of its latest draws were known already, the more often chance draws instead.

    Nothing is left over from earlier draws, and a seed follows from the study's and the trial's number, with the
    parameter's name where it is drawn alone. A sampler that must remember what the storage does not hold is not served.

    Args:
        make: makes a sampler of the wanted kind.
        seed: of the study.
        shown: says which trials it sees; None for all.
        reads_on: whether one sampler that lasts may say what is drawn together, since it goes on reading where it
            was, chooses nothing, and tells the others no more than that.
        explores: whether chance draws where it has come to rest.
    """

    def __init__(
        self, make: Maker, seed: int, shown: Shown | None = None, reads_on: bool = False, explores: bool = True
    ) -> None:
        self._make = make
        self._seed = seed
        self._shown = shown
        self._explores = explores
        self._reader = self._fresh() if reads_on else None
        self._own = threading.local()

    def reseed_rng(self) -> None:
        """Does nothing: trials of parallel workers differ by their numbers."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """What a sampler decides beforehand, such as which other one it is; called right before the first draw."""
        self._own.sampler, self._own.turn = self._fresh(trial.number), self._turn(study, trial)
        self._own.sampler.before_trial(self._own.turn.view, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What can be drawn together."""
        if self._own.turn.by_chance:
            return {}
        reader: BaseSampler = self._reader or self._own.sampler
        return reader.infer_relative_search_space(self._own.turn.view, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What is drawn together; Optuna calls it right after `infer_relative_search_space`, in the same thread."""
        if self._own.turn.by_chance:
            return {}
        drawn: dict[str, Any] = self._own.sampler.sample_relative(self._own.turn.view, trial, search_space)
        return drawn

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """One parameter alone."""
        turn: _Turn = self._own.turn
        if turn.number != trial.number or turn.study != study._study_id:
            turn = self._own.turn = self._turn(study, trial)
        path = trial.number, param_name
        if turn.by_chance:
            alone: BaseSampler = RandomSampler(seed=self._seed_of(*path))
        else:
            alone = self._fresh(*path)
            alone.before_trial(turn.view, trial)
        return alone.sample_independent(turn.view, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """What a sampler writes down when a trial ends."""
        self._fresh(trial.number, "after").after_trial(study, trial, state, values)

    def _fresh(self, *path: int | str) -> BaseSampler:
        with warnings.catch_warnings():
            # Optuna says at every use that `group` and some samplers are experimental.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self._make(self._seed_of(*path))

    def _seed_of(self, *path: int | str) -> int:
        return int(digest_of([self._seed, *path]), 16) % 2**32

    def _turn(self, study: Study, trial: FrozenTrial) -> "_Turn":
        shown = None if self._shown is None else self._shown.trials(study)
        view = study if shown is None else BoundedStudy(study, shown)
        return _Turn(study._study_id, trial.number, view, self._explores and self._at_rest(study, trial))

    def _at_rest(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to let chance draw: as likely as the latest draws were of networks that were known already."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        known = sum(map(is_duplicate, trials[max(0, trial.number - _LOOKED_BACK) : trial.number]))
        return self._seed_of(trial.number, "explores") < 2**32 * known / _LOOKED_BACK


@dataclass(frozen=True)
class _Turn:
    """What one trial is drawn by: which trials are seen, and whether by chance."""

    study: int
    number: int
    view: Study
    by_chance: bool


def _of_hub(found: type[BaseSampler]) -> Maker:
    return lambda seed: found(seed=seed)  # type: ignore[call-arg]


def _refuse_without_scipy() -> None:
    if find_spec("scipy") is None:
        raise EradioError("The sampler 'gp' needs SciPy; install it with `pip install 'eradio[gp]'`.")
