"""The studies of a search in their storage, opened so that any of Optuna's own tools can open them too."""

import random
import sqlite3
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, get_args

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study, StudyDirection
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from eradio.errors import EradioError
from eradio.profile import Target
from eradio.study.address import Address, require_driver
from eradio.study.database import Database
from eradio.study.holding import Kind
from eradio.study.refusals import storage_refusals

LOSS, THROUGHPUT = "validation distillation loss", "images per second"

OBJECTIVES = {LOSS: "minimize", THROUGHPUT: "maximize"}
"""Of a study with one target."""

KINDS: tuple[Kind, ...] = get_args(Kind)

CONNECTIONS = 2
"""The most connections that one process keeps open to a database."""

_BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
_SILENT_SECONDS = 60
"""After which an established connection whose other end says nothing is given up."""

_TRIES = 8


def objectives(targets: Sequence[Target]) -> dict[str, str]:
    """Names of a study's values, in order, with `minimize` or `maximize`: the loss, and a throughput each target."""
    if len(targets) == 1:
        return OBJECTIVES
    names = [f"{THROUGHPUT} ({number}: {target.engine})" for number, target in enumerate(targets, 1)]
    return {LOSS: "minimize", **dict.fromkeys(names, "maximize")}


def open_studies(address: Address, name: str, objectives: Mapping[str, str] = OBJECTIVES) -> dict[Kind, Study]:
    """The studies of candidates (`NAME`), baselines (`NAME-baselines`) and finalists, created if they do not exist yet.

    A study that is there already, as one made by `optuna create-study`, is taken over if its directions are right.

    Args:
        address: where they are kept.
        name: of the candidates' study.
        objectives: names of the values, in order, with `minimize` or `maximize`.

    Raises:
        StorageDownError: the storage does not answer at the moment.
        MachineError: the storage cannot be used until the user does something.
        EradioError: a package is missing, or a study of this name is of another kind.
    """
    require_driver(address)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_refusals(address):
        storage = _storage(address)
        return {kind: _study(storage, address, study_name(name, kind), objectives) for kind in KINDS}


def refuse_missing(address: Address, name: str) -> None:
    """See that a study is there, and leave no trace of having looked.

    Raises:
        StorageDownError: the storage does not answer at the moment.
        EradioError: it is not.
    """
    require_driver(address)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_refusals(address):
        if _has_tables(address):
            with suppress(KeyError):
                _storage(address).get_study_id_from_name(name)
                return
    raise EradioError(
        f"There is no study '{name}' in {address}. Give the run folder, the study's file, --storage and --study-name "
        "as they were when it was begun."
    )


def study_name(name: str, kind: Kind) -> str:
    """Under which Optuna knows the trials of a kind."""
    return name if kind == "candidate" else f"{name}-{kind}s"


def engine_options(address: Address) -> dict[str, Any]:
    """How SQLAlchemy is to connect: few connections, tested before use, given up when the server falls silent."""
    if address.kind == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    if address.kind == "postgresql":
        wanted: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "eradio",
            "keepalives_idle": _SILENT_SECONDS // 2,
            "keepalives_interval": _SILENT_SECONDS // 6,
            "keepalives_count": 3,
            "tcp_user_timeout": 1000 * _SILENT_SECONDS,
        }
    else:
        wanted = {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _SILENT_SECONDS,
            "write_timeout": _SILENT_SECONDS,
        }
    own = {key: value for key, value in wanted.items() if key not in address.url.query}
    if address.kind == "mysql" and address.url.password:
        # Its driver would encode it as Latin-1, and the server has it in UTF-8.
        own["password"] = address.url.password.encode()
    return {"connect_args": own, "pool_pre_ping": True, "pool_size": 1, "max_overflow": CONNECTIONS - 1}


def open_database(address: Address, *, create: bool = True) -> RDBStorage:
    """Optuna's tables in a database; no heartbeat, which does not work with ask and tell.

    Args:
        address: of a kind that is a database.
        create: make the tables that are missing.

    Raises:
        EradioError: the tables are those of another version of Optuna.
    """
    # Optuna fills templates in what it is given.
    url = address.url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for left in reversed(range(_TRIES)):
        try:
            return Database(url, engine_kwargs=engine_options(address), skip_table_creation=not create)
        except SQLAlchemyError as error:
            # Workers that start at once all make the tables; whoever comes second finds them a moment later.
            if left == 0 or not any(word in str(error).lower() for word in ("already exists", "duplicate", "unique")):
                raise
            time.sleep(random.SystemRandom().uniform(0.05, 0.3))
        except RuntimeError as error:
            if "table schema" not in str(error):
                raise
            raise _schema_error(error, address) from None
    raise AssertionError


def _storage(address: Address) -> BaseStorage:
    if address.kind == "journal":
        return JournalStorage(JournalFileBackend(str(address.file)))
    if address.kind == "grpc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            proxy = GrpcStorageProxy(host=str(address.host), port=int(address.port or 0))
        proxy.wait_server_ready(timeout=_CONNECT_SECONDS)
        return proxy
    if address.kind == "sqlite":
        with closing(sqlite3.connect(address.file, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    return open_database(address)


def _has_tables(address: Address) -> bool:
    """Whether a storage may hold studies, since somebody has made it one."""
    if address.path is not None and not address.file.exists():
        return False
    if address.kind in ("journal", "grpc"):
        return True
    engine = create_engine(address.url, connect_args=engine_options(address)["connect_args"], poolclass=NullPool)
    return inspect(engine).has_table("studies")


def _schema_error(error: RuntimeError, address: Address) -> EradioError:
    if "storage upgrade" in str(error):
        return EradioError(
            f"{address} was made by an older Optuna. Make a backup, end all workers, and run "
            f"`optuna storage upgrade` with its address ({address.url.drivername}://...) in OPTUNA_STORAGE."
        )
    return EradioError(f"{address} was made by a newer Optuna. Run `pip install --upgrade optuna`, on all hosts.")


def _study(storage: BaseStorage, address: Address, name: str, objectives: Mapping[str, str]) -> Study:
    directions = [StudyDirection[direction.upper()] for direction in objectives.values()]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    if study.directions != directions:
        found = ", ".join(direction.name.lower() for direction in study.directions)
        raise EradioError(
            f"{address} holds a study '{name}' with the directions ({found}) instead of "
            f"({', '.join(objectives.values())}). Give this search another name, or delete that study "
            f"(`optuna delete-study`)."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if study.metric_names != list(objectives):
            study.set_metric_names(list(objectives))
    return study
