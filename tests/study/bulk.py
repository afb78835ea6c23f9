"""Trials and their records written at once, as Optuna and the ledger would have written them one by one."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from eradio.study.ledger import RECORD
from eradio.study.records import TrialRecord
from eradio.study.run import Run

_AT_ONCE = 500
"""Trials in one transaction."""


def write(run: Run, some: Iterator[tuple[FrozenTrial, TrialRecord | None]]) -> None:
    """Into a fresh run folder, and the candidates' study of its storage, which must be a database.

    Args:
        run: yet to be begun.
        some: trials by number from 0, each with its record if it left one.
    """
    study = run.studies["candidate"]
    run.begin({"study": run.config.identity()})
    engine = study._storage._backend.engine  # type: ignore[attr-defined]
    while chunk := list(islice(some, _AT_ONCE)):
        with engine.begin() as connection:
            _insert(connection, study._study_id, [trial for trial, _ in chunk])
        for _, record in chunk:
            if record is not None:
                folder = run.folder / "candidates" / f"{record.number:04d}"
                folder.mkdir(parents=True)
                # Without waiting for the disk, as twenty thousand times would take longer than all else.
                text = json.dumps(record.model_dump(mode="json"), indent=2) + "\n"
                (folder / RECORD).write_text(text, encoding="utf-8")


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _insert(connection: Connection, study: int, some: Sequence[FrozenTrial]) -> None:
    """As Optuna would write them one by one."""
    rows = [
        {
            "number": one.number,
            "study_id": study,
            "state": one.state,
            "datetime_start": _utc(one.datetime_start),
            "datetime_complete": _utc(one.datetime_complete),
        }
        for one in some
    ]
    table: Any = models.TrialModel.__table__
    connection.execute(insert(table), rows)
    asked = select(table.c.number, table.c.trial_id).where(table.c.study_id == study, table.c.number >= some[0].number)
    ids: dict[int, int] = dict(connection.execute(asked).tuples().all())
    params, user, system, values = [], [], [], []
    for one in some:
        key = {"trial_id": ids[one.number]}
        for name, value in one.params.items():
            kind = one.distributions[name]
            inner = {"param_value": kind.to_internal_repr(value), "distribution_json": distribution_to_json(kind)}
            params.append({**key, "param_name": name, **inner})
        user += [{**key, "key": name, "value_json": json.dumps(value)} for name, value in one.user_attrs.items()]
        system += [{**key, "key": name, "value_json": json.dumps(value)} for name, value in one.system_attrs.items()]
        for objective, value in enumerate(one.values or ()):
            stored, kind_of_value = models.TrialValueModel.value_to_stored_repr(value)
            values.append({**key, "objective": objective, "value": stored, "value_type": kind_of_value})
    for model, lines in (
        (models.TrialParamModel, params),
        (models.TrialUserAttributeModel, user),
        (models.TrialSystemAttributeModel, system),
        (models.TrialValueModel, values),
    ):
        connection.execute(insert(model.__table__), lines)
