"""The Optuna side of a study: its storage, its samplers, and the names under which it is found."""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from sqlalchemy.exc import OperationalError

from eradio.errors import MachineError
from eradio.study.config import StudyConfig

OBJECTIVES = ("validation distillation loss", "images per second")
_DIRECTIONS = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
_BUSY_SECONDS = 60


def open_studies(folder: Path, config: StudyConfig) -> tuple[Study, Study]:
    """The study of the candidates and that of the baselines, created if they do not exist yet.

    Both live in `study.db`, an SQLite file in write-ahead mode, which any of Optuna's tools can open.

    Raises:
        MachineError: the file cannot be created or is no study's.
    """
    path = folder / "study.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with sqlite3.connect(path, timeout=_BUSY_SECONDS) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}}
        )
        return _study(storage, config.name), _study(storage, f"{config.name}-baselines")
    except (sqlite3.Error, OperationalError) as error:
        raise storage_error(error, path) from error


@contextmanager
def storage_refusals(path: Path) -> Iterator[None]:
    """Turn what Optuna raises when the database refuses into a sentence.

    Raises:
        MachineError: the database cannot be written or read.
    """
    try:
        yield
    except (StorageInternalError, OperationalError) as error:
        raise storage_error(error, path) from error


def storage_error(error: BaseException, path: Path) -> MachineError:
    """The sentence for a database's refusal."""
    text = f"{error} {error.__cause__ or ''}"
    if "full" in text or "disk I/O" in text:
        return MachineError(f"No room left for {path}. Free some space, then run the same command again.")
    reason = str(error.__cause__ or error).splitlines()[0]
    return MachineError(f"The study's database {path} cannot be used ({reason}). Check the file and its folder.")


def sampler(kind: str, seed: int) -> BaseSampler:
    """A sampler whose every draw follows from `seed` and the trials it sees."""
    if kind == "random":
        return RandomSampler(seed=seed)
    if kind == "nsga2":
        return NSGAIISampler(seed=seed)
    with warnings.catch_warnings():
        # `group` models the conditional parts of a space jointly; Optuna calls it experimental at every use.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=8)


def _study(storage: optuna.storages.RDBStorage, name: str) -> Study:
    study = optuna.create_study(storage=storage, study_name=name, directions=_DIRECTIONS, load_if_exists=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(OBJECTIVES))
    return study
