"""A bounded view of a study, so that what a sampler takes to think does not grow with what is known.

Optuna's sampler for several objectives sorts all trials at every draw: 0.3 s at 5,000 of them. Most of these say little
that the front and the latest trials do not: only these, and the running ones, are shown.
"""

from collections.abc import Container
from copy import deepcopy as copied

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from eradio.front import front
from eradio.study.trials import is_feasible


class Shown:
    """Which trials of one study are shown; remembers the front, which only new trials can change."""

    def __init__(self, latest: int) -> None:
        self._latest = latest
        self._study: tuple[int, int] | None = None
        self._seen = 0
        self._open: set[int] = set()
        self._front: list[FrozenTrial] = []

    def trials(self, study: Study) -> list[FrozenTrial] | None:
        """The feasible front, the latest trials and the running ones, by number; None if there are not more at all.

        Of trials that are equally good in everything the first stands for all, for duplicates would fill the front.
        """
        known = study._storage.get_all_trials(study._study_id, deepcopy=False)
        if len(known) <= self._latest:
            return None
        self._learn(study, known)
        old = len(known) - self._latest
        kept = {number for number in self._open if known[number].state == TrialState.RUNNING}
        kept |= {trial.number for trial in self._front}
        return [known[number] for number in sorted(kept) if number < old] + known[old:]

    def _learn(self, study: Study, known: list[FrozenTrial]) -> None:
        own = (id(study._storage), study._study_id)
        if own != self._study:
            self._study, self._seen, self._open, self._front = own, 0, set(), []
        # A trial's number is its place, and only those that have not ended can change.
        candidates = [*sorted(self._open), *range(self._seen, len(known))]
        new = [known[number] for number in candidates if known[number].state.is_finished()]
        self._seen, self._open = len(known), set(candidates) - {trial.number for trial in new}
        rivals = [*self._front, *filter(is_feasible, new)]
        if len(rivals) == len(self._front):
            return
        rivals.sort(key=lambda trial: trial.number)
        signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
        values = np.array([trial.values for trial in rivals]) * signs
        _, first = np.unique(values, axis=0, return_index=True)
        self._front = [rivals[first[index]] for index in front(values[first])]


class BoundedStudy(Study):
    """A study that shows a sampler some of its trials, and is the study itself in all else."""

    def __init__(self, study: Study, shown: list[FrozenTrial]) -> None:
        self.__dict__.update(study.__dict__)
        self._shown = shown

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Those shown; see `optuna.study.Study.get_trials`."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        wanted = [trial for trial in self._shown if states is None or trial.state in states]
        return copied(wanted) if deepcopy else wanted
