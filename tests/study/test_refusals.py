"""What libraries raise, as sentences."""

import os
import resource
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from eradio.errors import EradioError, MachineError, StorageDownError
from eradio.study.address import Address, parse_address, study_address
from eradio.study.refusals import storage_refusals
from eradio.study.storage import open_studies
from tests.services import free_port


def _journal(folder: Path) -> Address:
    return parse_address(f"journal:{folder / 'a.log'}", "the test")


def test_a_locked_file_is_one_that_may_be_free_again(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    holder = sqlite3.connect(address.file)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageDownError, match="database is locked"), storage_refusals(address):
        sqlite3.connect(address.file, timeout=0.01).execute("CREATE TABLE t (n)")
    holder.close()


def test_a_connection_that_was_lost_within_a_transaction_is_one_that_may_be_made_anew(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
        connection.invalidate()
        with pytest.raises(StorageDownError, match="does not answer"), storage_refusals(address):
            connection.execute(sqlalchemy.text("SELECT 1"))


def test_a_proxy_that_is_not_there_is_one_that_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="the Python package grpcio is not installed")
    monkeypatch.setattr("eradio.study.storage._CONNECT_SECONDS", 0.5)
    with pytest.raises(StorageDownError, match="does not answer"):
        open_studies(parse_address(f"grpc://127.0.0.1:{free_port()}", "the test"), "s")


def test_a_journal_that_cannot_grow_is_one_sentence(tmp_path: Path) -> None:
    address = _journal(tmp_path)
    study = open_studies(address, "s")["candidate"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (address.file.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(MachineError, match=r"a\.log"), storage_refusals(address):
            study.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_torn_journal_says_how_it_is_mended(tmp_path: Path) -> None:
    address = _journal(tmp_path)
    study = open_studies(address, "s")["candidate"]
    os.truncate(address.file, address.file.stat().st_size - 15)
    with pytest.raises(MachineError, match="sets a torn last line aside"), storage_refusals(address):
        [study.ask() for _ in range(2)]


def test_a_study_that_was_deleted_is_one_sentence(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    study = open_studies(address, "s")["candidate"]
    study._storage.delete_study(study._study_id)
    with pytest.raises(MachineError, match="somebody deleted it"), storage_refusals(address):
        study.ask()


@pytest.mark.parametrize("mistake", [KeyError("k"), ValueError("v"), OSError(2, "no"), RuntimeError("updated_state")])
def test_mistakes_of_ours_go_through(mistake: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(mistake)) as same, storage_refusals(_journal(tmp_path)):
        raise mistake
    assert same.value is mistake


def test_sentences_go_through(tmp_path: Path) -> None:
    with pytest.raises(EradioError, match=r"^mine$"), storage_refusals(_journal(tmp_path)):
        raise EradioError("mine")
