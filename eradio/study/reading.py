"""The records of a study: from the files that trials leave, and from the study itself where they leave none."""

import marshal
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eradio.collecting import uncollected
from eradio.errors import EradioError
from eradio.files import read_json
from eradio.manifest import environment
from eradio.study.holding import Kind
from eradio.study.ledger import NETWORK_PARAMETER, RECORD
from eradio.study.records import FinalistRecord, Role, StudyRecords, TrialRecord
from eradio.study.refusals import storage_refusals
from eradio.study.run import Run, open_run
from eradio.study.storage import refuse_missing
from eradio.study.trials import (
    DIGEST,
    DUPLICATE,
    END,
    JOB,
    REASON,
    UNDER_WAY,
    WORDS,
    attempt,
    is_surplus,
    origin,
    successors,
    to_be_retried,
)


def read_study(folder: Path, run: Run | None = None) -> StudyRecords:
    """All records of a run folder, finished or not.

    Args:
        folder: of the run.
        run: of the folder, if it is open already.

    Raises:
        EradioError: the folder holds no run, or its study is gone.
    """
    run = run or open_run(folder)
    refuse_missing(run.address, run.config.name)
    clock, facts = folder / "seconds.json", folder / "facts.json"
    known = read_json(facts) if facts.exists() else {"environment": environment(), "digests": {}}
    with storage_refusals(run.address), uncollected():
        return StudyRecords(
            name=run.config.name,
            config=run.config.model_dump(mode="json"),
            environment=known["environment"],
            digests=known["digests"],
            seconds=read_json(clock) if clock.exists() else None,
            trials=tuple(read_records(folder, run.studies)),
            finalists=tuple(read_finalists(folder, run.studies)),
        )


def read_records(folder: Path, studies: Mapping[Kind, Study]) -> list[TrialRecord]:
    """The records of all candidates and baselines that have ended, candidates first; one each, however many attempts.

    What ended without a record is made up from its trial.
    """
    records = []
    roles: tuple[Role, Role] = ("candidate", "baseline")
    for role in roles:
        for trial in _ended(studies[role]):
            path = folder / f"{role}s" / f"{origin(trial):04d}" / RECORD
            # One that was lost for the last time just before it could be told counts for nothing in the study.
            lost = trial.state == TrialState.FAIL and trial.user_attrs.get(END) == "lost"
            known = None
            if not lost:
                # One that is not there, or that a broken disk spoiled, must not hide all others.
                with suppress(EradioError, FileNotFoundError):
                    known = _record_at(path, path.stat().st_mtime_ns)
            records.append(known or _record_of(trial, role))
    return records


def read_finalists(folder: Path, studies: Mapping[Kind, Study]) -> list[FinalistRecord]:
    """The records of the finalists that are done, or cannot be."""
    found: dict[str, FinalistRecord] = {}
    for trial in _ended(studies["finalist"]):
        job = trial.user_attrs.get(JOB, "")
        path = folder / "finalists" / job / RECORD
        if path.exists():
            found[job] = FinalistRecord.parse(read_json(path), str(path))
        else:
            role, _, number = job.partition("-")
            rung = folder / f"{role}s" / number / RECORD
            if trial.state == TrialState.FAIL and rung.exists():
                known = TrialRecord.parse(read_json(rung), str(rung))
                found[job] = unfinished(known, trial.user_attrs.get(REASON, "no reason was recorded"))
    return [found[job] for job in sorted(found)]


def unfinished(trial: TrialRecord, reason: str) -> FinalistRecord:
    """The record of a finalist whose longer training did not end; its score is the rung's."""
    assert trial.measurement is not None
    assert trial.score is not None
    return FinalistRecord(
        role=trial.role,
        number=trial.number,
        name=trial.name,
        network_digest=trial.network_digest,
        measurement=trial.measurement,
        also=trial.also,
        score=trial.score,
        curve=trial.curve,
        reason=reason,
        manifest=trial.manifest,
    )


def _ended(study: Study) -> list[FrozenTrial]:
    """The last attempt of each candidate for which nothing more is to be done."""
    trials = study.get_trials(deepcopy=False)
    later = successors(trials)
    again = {trial.number for trial in to_be_retried(trials)}
    return [
        trial
        for trial in trials
        if trial.state not in UNDER_WAY
        and trial.number not in again
        and (origin(trial), attempt(trial) + 1) not in later
        and not is_surplus(trial)
        and not (attempt(trial) > 1 and later[origin(trial), attempt(trial)].number != trial.number)
    ]


@lru_cache(maxsize=1 << 16)
def _record_at(path: Path, written: int) -> TrialRecord:
    """The record in a file; read once, since the display asks every second and a record never changes."""
    plain = read_json(path)
    if isinstance(plain, dict) and isinstance(plain.get("manifest"), dict):
        # Version 0 knows no references, so equal parts are equal bytes.
        plain["manifest"] = {key: _shared(marshal.dumps(part, 0)) for key, part in plain["manifest"].items()}
    return TrialRecord.parse(plain, str(path))


@lru_cache(maxsize=1 << 10)
def _shared(packed: bytes) -> Any:
    """A part of a manifest; thousands of records tell of one environment and one recipe."""
    return marshal.loads(packed)


def _record_of(trial: FrozenTrial, role: Role) -> TrialRecord:
    number = origin(trial)
    complete = trial.state == TrialState.COMPLETE
    return TrialRecord(
        role=role,
        number=number,
        name=trial.params.get(NETWORK_PARAMETER, f"trial {number}"),
        network_digest=trial.user_attrs.get(DIGEST, ""),
        network={},
        words=trial.user_attrs.get(WORDS, ""),
        state="complete" if complete else "failed",
        reason=trial.user_attrs.get(REASON),
        end=trial.user_attrs.get(END, "complete" if complete else "failed"),
        duplicate_of=trial.user_attrs.get(DUPLICATE),
        attempt=attempt(trial),
    )
