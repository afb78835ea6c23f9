"""Patience, by a clock that is played and with a server that is restarted."""

import threading
from pathlib import Path

import optuna
import pytest

from eradio.errors import MachineError, StorageDownError
from eradio.study.address import parse_address
from eradio.study.patience import patiently
from eradio.study.storage import open_studies
from tests.services import Postgres, free_port
from tests.study.storages import proxy


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patiently(self, call, seconds: float, told=lambda error: None):
        return patiently(call, seconds=seconds, told=told, clock=lambda: self.now, sleep=self.sleep)


def _away(tries: int):
    """A call that is refused so many times, and then answers."""
    left = iter(range(tries))

    def call() -> str:
        if next(left, None) is not None:
            raise StorageDownError("away")
        return "answer"

    return call


def test_what_answers_at_once_is_not_waited_for() -> None:
    clock = Clock()
    assert clock.patiently(_away(0), 10) == "answer"
    assert clock.pauses == []


def test_pauses_grow_and_stop_growing_and_the_first_refusal_is_told() -> None:
    clock, told = Clock(), []
    assert clock.patiently(_away(30), 1000, told.append) == "answer"
    assert [str(error) for error in told] == ["away"]
    assert len(clock.pauses) == 30
    assert 0.1 <= clock.pauses[0] <= 0.2
    assert max(clock.pauses) <= 15
    assert all(7.5 <= pause <= 15 for pause in clock.pauses[8:])
    assert len(set(clock.pauses)) == 30


def test_it_ends_when_it_was_said_to() -> None:
    clock = Clock()
    with pytest.raises(StorageDownError, match="away"):
        clock.patiently(_away(1000), 60)
    assert clock.now == pytest.approx(60)


def test_anything_else_is_not_repeated() -> None:
    clock = Clock()

    def call() -> None:
        raise MachineError("no right")

    with pytest.raises(MachineError, match="no right"):
        clock.patiently(call, 60)
    assert clock.pauses == []


def test_a_study_outlives_a_restart_of_its_server(database: str, postgres: Postgres) -> None:
    address = parse_address(database, "the test")
    study = open_studies(address, "s")["candidate"]
    told: list[StorageDownError] = []
    postgres.stop()
    starter = threading.Timer(1.0, postgres.start)
    starter.start()
    try:
        trial = patiently(study.ask, seconds=60, address=address, told=told.append)
        patiently(lambda: study.tell(trial, [1.0, 2.0]), seconds=60, address=address)
    finally:
        starter.join()
    assert len(told) == 1
    assert "does not answer" in str(told[0])
    assert [trial.values for trial in open_studies(address, "s")["candidate"].trials] == [[1.0, 2.0]]


def test_optuna_s_own_loop_meets_a_lost_server_as_one_that_is_down(database: str, postgres: Postgres) -> None:
    address = parse_address(database, "the test")
    study = open_studies(address, "s")["candidate"]

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        postgres.stop()
        return 1.0, 2.0

    try:
        with pytest.raises(StorageDownError):
            patiently(lambda: study.optimize(objective, n_trials=1), seconds=0, address=address)
    finally:
        postgres.start()


def test_a_connection_that_is_cut_is_one_that_is_down(database: str, postgres: Postgres) -> None:
    address = parse_address(database, "the test")
    study = open_studies(address, "s")["candidate"]
    name = address.url.database
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    for _ in range(5):
        postgres.sql(cut)
        patiently(study.ask, seconds=60, address=address)
    assert len(study.trials) == 5


def test_a_study_outlives_a_restart_of_its_proxy(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="the Python package grpcio is not installed")
    port, storage = free_port(), f"sqlite:///{tmp_path / 'a.db'}"
    address = parse_address(f"grpc://127.0.0.1:{port}", "the test")
    with proxy(storage, port):
        study = open_studies(address, "s")["candidate"]
    with pytest.raises(StorageDownError, match="does not answer"):
        patiently(study.ask, seconds=0, address=address)
    with proxy(storage, port):
        assert patiently(study.ask, seconds=60, address=address).number == 0
