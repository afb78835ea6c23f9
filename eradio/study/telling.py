"""A trial's end as Optuna's own tools see it: values, constraints, attributes and the files that go with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import Trial

from eradio.files import disk_error
from eradio.study.config import StudyConfig
from eradio.study.records import FinalistRecord, TrialRecord
from eradio.study.trials import DIGEST, END, REASON, THROUGHPUT, WORDS, EndedError, frozen_at, note

HALTED = "halted"
"""The constraint that sets candidates apart which were not taught to the end: how many rungs they had left.

So `best_trials` is the front of those that were, and samplers still learn from all.
"""

ARTIFACTS = "artifacts"
"""Folder in the run's, from which a dashboard shows files."""


def complete(
    study: Study,
    trial: Trial,
    record: TrialRecord | FinalistRecord,
    constraints: Mapping[str, float],
    files: Sequence[Path],
    folder: Path,
) -> None:
    """End a trial with what it gave.

    Args:
        study: it belongs to.
        trial: running.
        record: with a score.
        constraints: that it keeps up to 0.
        files: shown beside it by a dashboard.
        folder: of the run.

    Raises:
        EndedError: it has ended meanwhile.
        MachineError: there is no room for the files.
    """
    note(study, trial, attributes_of(record))
    _attach(trial, files, folder / ARTIFACTS)
    finish(study, trial, values_of(record), constraints)


def finish(study: Study, trial: Trial, values: Sequence[float], constraints: Mapping[str, float]) -> None:
    """End a trial with values.

    Raises:
        EndedError: it has ended meanwhile.
    """
    set_already = trial.constraints
    try:
        for name, value in constraints.items():
            if name not in set_already:
                trial.set_constraint(name, value)
        if constraints:
            # Under the name of older versions, the only one that the dashboard reads. It scales all constraints alike.
            study._storage.set_trial_system_attr(trial._trial_id, "constraints", list(constraints.values()))
            note(study, trial, {f"constraint_{name}": value for name, value in constraints.items()})
    except UpdateFinishedTrialError:
        raise EndedError from None
    if frozen_at(study, trial.number).state.is_finished():
        raise EndedError
    try:
        study.tell(trial, list(values))
    except (UpdateFinishedTrialError, ValueError):
        # The latter where Optuna itself sees first that somebody has ended it meanwhile.
        if not frozen_at(study, trial.number).state.is_finished():
            raise
        raise EndedError from None


def values_of(record: TrialRecord | FinalistRecord) -> list[float]:
    """The objectives of a measured and taught network: loss, then images per second on each target."""
    assert record.score is not None
    return [record.score.loss, *(one.throughput.value for one in record.measurements)]


def constraints_of(config: StudyConfig, record: TrialRecord | FinalistRecord) -> dict[str, float]:
    """What a candidate with a score is to keep up to 0: on all candidates of a study or on none, since some samplers
    refuse a study whose trials differ in their constraints."""
    if not isinstance(record, TrialRecord) or record.role != "candidate":
        return {}
    assert record.score is not None
    assert record.measurement is not None
    shortfalls = config.constraints.shortfalls(record.measurement, record.peak_bytes)
    left = sum(rung > record.score.steps for rung in config.rungs)
    return shortfalls | ({HALTED: float(left)} if config.halving or shortfalls else {})


def attributes_of(record: TrialRecord | FinalistRecord) -> dict[str, object]:
    """What a dashboard shows of it."""
    found: dict[str, object] = {DIGEST: record.network_digest}
    if isinstance(record, TrialRecord):
        found |= {WORDS: record.words, END: record.end}
    if record.reason is not None:
        found[REASON] = record.reason
    if record.measurement is not None:
        interval = record.measurement.throughput
        speeds = [one.throughput.value for one in record.measurements]
        found[THROUGHPUT] = speeds[0] if len(speeds) == 1 else speeds
        found["images_per_second_95"] = [interval.low, interval.high]
        found["parameters"] = record.measurement.parameters
        found["gmacs"] = record.measurement.gmacs
    return found


def _attach(trial: Trial, files: Sequence[Path], folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        store = FileSystemArtifactStore(folder)
        for file in files:
            if file.exists():
                upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=trial)
    except UpdateFinishedTrialError:
        raise EndedError from None
    except OSError as error:
        raise disk_error(error, folder) from error
