"""Databases that lack a right, a place or the right tables, for real."""

import multiprocessing
import os
import sqlite3
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from eradio.errors import EradioError, MachineError
from eradio.study.address import Address, parse_address
from eradio.study.preflight.database import check_database
from eradio.study.refusals import storage_refusals
from eradio.study.storage import open_studies
from tests.services import MariaDB, Postgres


def _address(text: str) -> Address:
    return parse_address(text, "the test")


def _check(address: Address, workers: int = 2, ours: float = 0.0) -> list[str]:
    with storage_refusals(address):
        return [text for text in check_database(address, workers, lambda: time.time() + ours) if text]


def test_a_database_that_can_be_used_passes_without_a_trace(database: str, postgres: Postgres) -> None:
    address = _address(database)
    assert _check(address) == []
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.sql(tables, database=address.url.database) == []
    open_studies(address, "s")
    assert _check(address) == []
    assert postgres.sql("SELECT study_name FROM studies ORDER BY 1", database=address.url.database) == [
        ("s",),
        ("s-baselines",),
        ("s-finalists",),
    ]


def test_so_do_those_of_other_makers(mariadb: MariaDB, tmp_path: Path) -> None:
    for address in (_address(mariadb.url(mariadb.create_database())), _address(f"sqlite:///{tmp_path / 'a.db'}")):
        assert _check(address) == []
        studies = open_studies(address, "s")
        assert _check(address) == []
        assert [study.study_name for study in studies.values()] == ["s", "s-baselines", "s-finalists"]


def test_a_role_that_may_not_make_tables_is_told_what_it_lacks(postgres: Postgres) -> None:
    name = postgres.create_database()
    role = postgres.role(name)
    address = _address(postgres.url(name, user=role))
    with pytest.raises(MachineError, match=f"{role} may not make tables") as refusal:
        _check(address)
    postgres.sql(_grant(refusal.value), database=name)
    assert _check(address) == []
    open_studies(address, "s")


@pytest.mark.parametrize("granted", ["SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"])
def test_a_role_that_may_not_write_is_told_what_it_lacks(granted: str, postgres: Postgres) -> None:
    name = postgres.create_database()
    open_studies(_address(postgres.url(name)), "s")
    role = postgres.role(name, f"{granted} ON ALL TABLES IN SCHEMA public", "USAGE ON SCHEMA public")
    address = _address(postgres.url(name, user=role))
    with pytest.raises(MachineError, match=f"{role} may not write to the tables") as refusal:
        _check(address)
    for grant in _grant(refusal.value).split(";"):
        if grant.strip():
            postgres.sql(grant, database=name)
    assert _check(address) == []
    study = open_studies(address, "s")["candidate"]
    study.tell(study.ask(), [1.0, 2.0])


def _grant(error: BaseException) -> str:
    return "GRANT" + str(error).partition("GRANT")[2]


def test_a_user_of_mysql_that_may_not_write_is_told_too(mariadb: MariaDB) -> None:
    name = mariadb.create_database()
    reader = f"CREATE USER IF NOT EXISTS r@'127.0.0.1' IDENTIFIED BY 'r'; GRANT SELECT ON {name}.* TO r@'127.0.0.1'"
    mariadb.sql(*reader.split(";"))
    address = _address(mariadb.url(name, user="r", password="r"))
    with pytest.raises(MachineError, match="r may not make tables"):
        _check(address)
    open_studies(_address(mariadb.url(name)), "s")
    with pytest.raises(MachineError, match="r may not write to the tables"):
        _check(address)


def test_a_server_that_only_reads_is_one_sentence(database: str, postgres: Postgres) -> None:
    address = _address(database)
    postgres.sql(f"ALTER DATABASE {address.url.database} SET default_transaction_read_only = on")
    with pytest.raises(MachineError, match="read-only transaction"):
        _check(address)


def _refused_to_nobody(path: Path, said: Connection) -> None:
    """In a process of a user without rights, which root is not."""
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        _check(_address(f"sqlite:///{path}"))
    except MachineError as error:
        said.send(str(error))
    else:
        said.send("nothing")


def test_a_file_that_may_only_be_read_is_one_sentence() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        open_studies(_address(f"sqlite:///{folder / 'a.db'}"), "s")
        (folder / "a.db").chmod(0o444)
        folder.chmod(0o555)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_refused_to_nobody, args=(folder / "a.db", theirs))
        child.start()
        said = ours.recv()
        child.join()
        folder.chmod(0o755)
    assert "a.db" in said
    assert "read" in said


@pytest.mark.parametrize(("version", "words"), [("v3.0.0.d", "optuna storage upgrade"), ("v99", "--upgrade optuna")])
def test_tables_of_another_optuna_are_one_sentence(version: str, words: str, tmp_path: Path) -> None:
    address = _address(f"sqlite:///{tmp_path / 'a.db'}")
    open_studies(address, "s")
    with sqlite3.connect(address.file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
    for use in (_check, lambda address: open_studies(address, "s")):
        with pytest.raises(EradioError, match=words):
            use(address)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_clocks_that_differ_are_said(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    address = _address(server.url(server.create_database()))
    warnings = _check(address, ours=100.0)
    assert len(warnings) == 1
    assert "behind this host's" in warnings[0]
    assert str(address) in warnings[0]


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_more_workers_than_places_is_one_sentence(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    address = _address(server.url(server.create_database()))
    with pytest.raises(MachineError, match="places for connections, and 500 workers"):
        _check(address, workers=500)


def test_places_that_others_hold_are_said(database: str, postgres: Postgres) -> None:
    address = _address(database)
    holders = [open_studies(address, "s")["candidate"] for _ in range(6)]
    assert any("of which others hold" in text for text in _check(address, workers=46))
    assert len(holders) == 6
