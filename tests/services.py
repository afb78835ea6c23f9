"""Real servers for tests: private, on loopback, behind a password, and gone at the end.

A test asks for `postgres` or `mariadb` (a server of this test process) or for `database` (a fresh database on the
former); where the programs are missing it is skipped with the reason.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

PASSWORD = "pa55/wörd@{x}%41"
"""Of every role; it has all that a URL makes trouble of, and is found in no output by chance."""
QUOTED = "pa55%2Fw%C3%B6rd%40%7Bx%7D%2541"
"""The same within a URL."""


class Server:
    """A server that can be stopped, started and asked."""

    scheme: str
    superuser: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def url(self, database: str, user: str | None = None, password: str | None = QUOTED) -> str:
        """The address of a database; by default its superuser's, with the password."""
        secret = "" if password is None else f":{password}"
        return f"{self.scheme}://{user or self.superuser}{secret}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        """Stop for good, without care for the data."""
        raise NotImplementedError

    def sql(self, *statements: str, database: str | None = None) -> list[tuple]:
        """Run statements as the superuser, and give the rows of the last one."""
        raise NotImplementedError

    def create_database(self) -> str:
        """A fresh database's name."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return name


class Postgres(Server):
    scheme, superuser = "postgresql", "postgres"

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self._programs = programs
        secret = folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        _give(folder, "postgres")
        self._run("initdb", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync")
        secret.unlink()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "fast", "-w", "stop")

    def drop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def sql(self, *statements: str, database: str | None = None) -> list[tuple]:
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "dbname": database or "postgres"}
        with psycopg.connect(user=self.superuser, password=PASSWORD, autocommit=True, **where) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def role(self, database: str, *grants: str) -> str:
        """A role that may log in, and what is granted to it in a database; its password is PASSWORD."""
        name = f"r{secrets.token_hex(4)}"
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        for grant in grants:
            self.sql(f"GRANT {grant} TO {name}", database=database)
        return name

    def _run(self, program: str, *arguments: str) -> None:
        _as("postgres", str(self._programs / program), "-D", str(self.folder / "data"), *arguments)


class MariaDB(Server):
    scheme, superuser = "mysql", "admin"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        _give(folder, "mysql")
        _as("mysql", "mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db")
        admin = "admin@'127.0.0.1'"
        lines = [
            "SET NAMES utf8mb4",
            f"CREATE USER {admin} IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON *.* TO {admin} WITH GRANT OPTION",
        ]
        # One statement a line, as the server wants it.
        (folder / "first.sql").write_text("".join(f"{line};\n" for line in lines), encoding="utf-8")

    def start(self) -> None:
        _give(self.folder, "mysql")
        command = [
            "mariadbd",
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'socket'}",
        ]
        command += [f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"]
        first = self.folder / "first.sql"
        command += [f"--init-file={first}"] if first.exists() else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_other_user("mysql"))
        try:
            self._wait()
        except BaseException:
            self.drop()
            raise
        first.unlink(missing_ok=True)

    def _wait(self) -> None:
        """Until the superuser may come in, which is later than that the port is open."""
        import pymysql

        for _ in range(300):
            with suppress(pymysql.err.OperationalError):
                if Path(self.sql("SELECT @@datadir")[0][0]) == self.folder / "data":  # another server may have the port
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8"))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def drop(self) -> None:
        self._process.kill()
        self._process.wait()

    def sql(self, *statements: str, database: str | None = None) -> list[tuple]:
        import pymysql

        where = {"host": "127.0.0.1", "port": self.port, "database": database}
        connection = pymysql.connect(user=self.superuser, password=PASSWORD.encode(), autocommit=True, **where)
        with closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for as long as the block lasts; skips the test where there can be none."""
    pytest.importorskip("psycopg", reason="the Python package psycopg is not installed")
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs (initdb, pg_ctl) are not installed")
    with _folder("postgres") as folder:
        server = Postgres(folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.drop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process; whoever stops it starts it again."""
    with private_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server of this test process."""
    pytest.importorskip("pymysql", reason="the Python package pymysql is not installed")
    if not (shutil.which("mariadbd") and shutil.which("mariadb-install-db")):
        pytest.skip("MariaDB's programs (mariadbd, mariadb-install-db) are not installed")
    with _folder("mysql") as folder:
        server = MariaDB(folder)
        server.start()
        try:
            yield server
        finally:
            server.drop()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The URL of a fresh database on PostgreSQL, with its password."""
    return postgres.url(postgres.create_database())


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    candidates = [*([Path(on_path)] if on_path else []), *reversed(found)]
    return candidates[0].parent if candidates else None


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A folder that the server's user may enter, unlike pytest's own."""
    if os.getuid() == 0 and not _exists(user):
        pytest.skip(f"there is no user {user}, as whom the server would run")
    path = Path(tempfile.mkdtemp(prefix=f"eradio-{user}-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _other_user(user: str) -> dict[str, object]:
    """Neither server runs as root."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if os.getuid() == 0 else {}


def _give(folder: Path, user: str) -> None:
    if os.getuid() == 0:
        for path in (folder, *folder.glob("*")):
            shutil.chown(path, user)


def _as(user: str, *command: str) -> None:
    # Not through pipes: a server that goes on in the background would keep them open.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", **_other_user(user))
        said.seek(0)
        assert done.returncode == 0, said.read().decode(errors="replace")
