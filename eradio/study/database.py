"""Optuna's tables in a database, of which many trials are read at once.

Optuna makes an object of every row, half a million of them for ten thousand trials: a worker that joins a long study
would stand still for half a minute and take 2 GB. Here rows become trials directly, some hundreds at a time, and what
many trials have alike (a parameter's range, a key) they share. All else is Optuna's own.
"""

from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from eradio.collecting import uncollected
from eradio.files import parsed_json

_AT_ONCE = 500
"""Trials of one query; no database takes many thousand numbers in one."""

_distribution: Any = lru_cache(maxsize=4096)(json_to_distribution)


class Database(RDBStorage):
    """Optuna's storage in a database; see the module."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Trials by their ids: those after one, and some of those before it."""
        wanted = sorted(one for one in included_trial_ids if one <= trial_id_greater_than)
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session)
            asked = _trials(study_id, wanted, trial_id_greater_than)
            found = (row for part in asked for row in session.execute(part) if states is None or row.state in states)
            rows = [tuple(row) for row in found]
            with uncollected():
                return [trial for page in _pages(rows) for trial in _read(session, page)]


def _trials(study: int, wanted: Sequence[int], after: int) -> Iterator[Select[Any]]:
    """Queries that together ask for them by ascending id."""
    trial = models.TrialModel
    times = trial._datetime_start_utc, trial._datetime_complete_utc
    asked = select(trial.trial_id, trial.number, trial.state, *times).where(trial.study_id == study)
    for page in _pages(wanted):
        yield asked.where(trial.trial_id.in_(page)).order_by(trial.trial_id)
    yield asked.where(trial.trial_id > after).order_by(trial.trial_id)


def _read(session: Session, rows: Sequence[tuple[Any, ...]]) -> list[FrozenTrial]:
    """What rows of `_trials` stand for."""
    ids = [key for key, *_ in rows]
    drawn = _kept(session, ids, models.TrialParamModel, "param_id", "param_name", "param_value", "distribution_json")
    user = _attributes(session, ids, models.TrialUserAttributeModel, "trial_user_attribute_id")
    system = _attributes(session, ids, models.TrialSystemAttributeModel, "trial_system_attribute_id")
    values = _kept(session, ids, models.TrialValueModel, "objective", "objective", "value", "value_type")
    steps = ("step", "intermediate_value", "intermediate_value_type")
    between = _kept(session, ids, models.TrialIntermediateValueModel, "step", *steps)
    value_of = models.TrialValueModel.stored_repr_to_value
    between_of = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    found = []
    for key, number, state, begun, ended in rows:
        kinds = {intern(name): _distribution(text) for name, _, text in drawn[key]}
        found.append(
            FrozenTrial(
                number=number,
                state=state,
                value=None,
                values=[value_of(value, kind) for _, value, kind in values[key]] or None,
                datetime_start=_local(begun),
                datetime_complete=_local(ended),
                params={intern(name): kinds[name].to_external_repr(value) for name, value, _ in drawn[key]},
                distributions=kinds,
                user_attrs=user[key],
                system_attrs=system[key],
                intermediate_values={step: between_of(value, kind) for step, value, kind in between[key]},
                trial_id=key,
            )
        )
    return found


def _attributes(session: Session, trials: Sequence[int], model: Any, order: str) -> dict[int, dict[str, Any]]:
    """Attributes by trial; parsed together, which is faster than one by one."""
    rows = _kept(session, trials, model, order, "key", "value_json")
    texts = ",".join(text for some in rows.values() for _, text in some)
    parsed = iter(parsed_json(f"[{texts}]"))
    return {trial: {intern(name): next(parsed) for name, _ in some} for trial, some in rows.items()}


def _kept(session: Session, trials: Sequence[int], model: Any, order: str, *columns: str) -> dict[int, list[Any]]:
    """Some columns of a table by trial, each trial's rows in an order."""
    found: dict[int, list[Any]] = {trial: [] for trial in trials}
    low, high = trials[0], trials[-1]
    # A range is read faster than a list, as long as few trials of other studies are in it.
    these = model.trial_id.between(low, high) if high - low < 2 * len(trials) else model.trial_id.in_(trials)
    asked = select(model.trial_id, *(getattr(model, column) for column in columns)).where(these)
    for trial, *row in session.execute(asked.order_by(getattr(model, order))):
        if trial in found:
            found[trial].append(row)
    return found


def _pages(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (some[start : start + _AT_ONCE] for start in range(0, len(some), _AT_ONCE))


def _local(time: datetime | None) -> datetime | None:
    """Optuna keeps universal times and gives local ones, both without a zone."""
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
