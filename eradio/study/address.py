"""Where a study's trials are kept, as data: one URL, whose password is never shown, written or pickled.

| storage | written | for |
| --- | --- | --- |
| embedded | nothing | one host: `study.db` in the run folder, an SQLite file |
| SQLite | `sqlite:///PATH` | one host, another place |
| PostgreSQL | `postgresql://USER@HOST/DATABASE` | a cluster |
| MySQL, MariaDB | `mysql://USER@HOST/DATABASE` | a cluster that has one already |
| journal | `journal:PATH` | a shared disk, no database |
| gRPC | `grpc://HOST:PORT` | a proxy of Optuna before a database |

A password belongs into the environment variable ERADIO_STORAGE; for PostgreSQL also into PGPASSWORD or ~/.pgpass, which
its client library reads by itself.
"""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import PrivateAttr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from eradio.description import Description
from eradio.errors import EradioError
from eradio.study.passwords import HIDDEN, is_secret, is_shown, spellings

VARIABLE = "ERADIO_STORAGE"

Kind = Literal["sqlite", "postgresql", "mysql", "journal", "grpc"]

_SERVERS: dict[str, tuple[Kind, str]] = {
    "postgresql": ("postgresql", "postgresql+psycopg"),
    "postgres": ("postgresql", "postgresql+psycopg"),
    "postgresql+psycopg": ("postgresql", "postgresql+psycopg"),
    "mysql": ("mysql", "mysql+pymysql"),
    "mariadb": ("mysql", "mysql+pymysql"),
    "mysql+pymysql": ("mysql", "mysql+pymysql"),
    "mariadb+pymysql": ("mysql", "mysql+pymysql"),
}
_DRIVERS: dict[Kind, tuple[str, ...]] = {
    "sqlite": (),
    "postgresql": ("psycopg",),
    "mysql": ("pymysql",),
    "journal": (),
    "grpc": ("grpc", "google.protobuf"),
}
_KINDS = (
    "sqlite:///PATH, postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, journal:PATH and grpc://HOST:PORT"
)
_GRPC_PORT = 13000


class Address(Description):
    """A storage's kind and place. Its fields hold no password; the URL that does is no field, and is not pickled."""

    kind: Kind
    shown: str
    path: Path | None = None
    host: str | None = None
    port: int | None = None

    _url: URL | None = PrivateAttr(None)

    def __str__(self) -> str:
        return self.shown

    def __getstate__(self) -> dict[Any, Any]:
        raise TypeError("An address may hold a password, so it is not pickled; hand its text on in the environment.")

    @property
    def shared(self) -> bool:
        """Whether workers of several hosts may use it."""
        return self.kind != "sqlite"

    @property
    def url(self) -> URL:
        """What SQLAlchemy connects to, password and all; only for the kinds that are databases."""
        assert self._url is not None, self.kind
        return self._url

    @property
    def file(self) -> Path:
        """The file of a kind that is one, as an absolute path."""
        assert self.path is not None, self.kind
        return self.path

    @property
    def open_text(self) -> str:
        """The address without its secrets, as it may be written down; what is left out, a user gives anew."""
        if self._url is None:
            return self.shown
        query = {key: value for key, value in self._url.query.items() if not is_secret(key)}
        return self._url._replace(password=None).set(query=query).render_as_string(hide_password=False)

    @property
    def secret_text(self) -> str:
        """The address with its secrets, for the environment of a process that is started, and for nothing else."""
        return self.shown if self._url is None else self._url.render_as_string(hide_password=False)

    def scrub(self, text: str) -> str:
        """A library's message without this address's secrets, however they are spelt in it."""
        for secret in spellings(self._url) if self._url is not None else ():
            text = text.replace(secret, HIDDEN)
        return text


def study_address(folder: Path, configured: str | None, environment: Mapping[str, str] = os.environ) -> Address:
    """Where a run's trials are kept: the environment's ERADIO_STORAGE, else the study file's, else the run folder.

    Args:
        folder: the run folder.
        configured: the study file's `storage`, or None.
        environment: the variables of this process.

    Raises:
        EradioError: the text is no storage's address; it is not repeated, since it may hold a password.
    """
    if environment.get(VARIABLE, "").strip():
        return parse_address(environment[VARIABLE], f"the environment variable {VARIABLE}")
    if configured:
        return parse_address(configured, "the study's `storage`")
    return _sqlite(folder.resolve() / "study.db")


def parse_address(text: str, where: str) -> Address:
    """The address that a text gives.

    Args:
        text: such as `postgresql://me@db.example.org/studies`; paths may be relative and begin with `~`.
        where: where the text stands, for the errors.

    Raises:
        EradioError: the text is no storage's address; it is not repeated, since it may hold a password.
    """
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if scheme == "journal":
        return _file("journal", "journal:PATH", rest[2:] if rest.startswith("///") else rest, where)
    if scheme == "sqlite":
        if not rest.startswith("///") or "?" in rest:
            raise EradioError(f"{where} must be written sqlite:///PATH, or sqlite:////PATH from the root. Correct it.")
        return _file("sqlite", "sqlite:///PATH", rest[3:], where)
    if scheme == "grpc":
        return _grpc(text, where)
    if scheme in _SERVERS:
        return _server(scheme, rest, where)
    if scheme.split("+")[0] in _SERVERS and colon:
        plain = scheme.split("+")[0]
        raise EradioError(f"{where} asks for the driver of {scheme}://, which is not used here. Write {plain}://.")
    named = f"{scheme}:// is no kind of storage" if re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) and colon else "is none"
    raise EradioError(f"{where} must be a storage's address, and {named}. The kinds are {_KINDS}.")


def has_password(text: str) -> bool:
    """Whether an address holds a password or another secret, also one that is not written as it should be."""
    _, _, rest = text.partition("://")
    before, at, _ = rest.rpartition("@")
    query = parse_qsl(text.partition("?")[2])
    return bool(at and ":" in before) or any(is_secret(key) for key, _ in query)


def refuse_password(text: str, where: str = "--storage") -> None:
    """Refuse an address with a password where others can read it, as on a command line.

    Raises:
        EradioError: the text holds a password or another secret.
    """
    if has_password(text):
        raise EradioError(
            f"The address given as {where} holds a password, which everybody on this machine could read (`ps` shows "
            f"it). Set the environment variable {VARIABLE} to the address instead, or leave the password out and put "
            "it into PGPASSWORD or ~/.pgpass (PostgreSQL)."
        )


def require_driver(address: Address) -> None:
    """Refuse an address whose Python packages are not installed.

    Raises:
        EradioError: one is missing; the text says what to install.
    """
    missing = [module for module in _DRIVERS[address.kind] if not _installed(module)]
    if missing:
        raise EradioError(
            f"A storage of the kind {address.kind}: needs the Python package {missing[0]}, which is not installed. "
            "Run `pip install 'eradio[cluster]'`."
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _file(kind: Literal["sqlite", "journal"], form: str, text: str, where: str) -> Address:
    if not text or text == ":memory:" or text.startswith(("file:", "//")) or text.endswith("/"):
        raise EradioError(f"{where} must name a file ({form}), so that all workers find it. Correct it.")
    # Absolute: workers start in other folders, and the journal's lock is a link that must not depend on one.
    path = Path(unquote(text) if kind == "sqlite" else text).expanduser().resolve()
    return _sqlite(path) if kind == "sqlite" else Address(kind="journal", shown=f"journal:{path}", path=path)


def _sqlite(path: Path) -> Address:
    url = URL.create("sqlite", database=str(path))
    address = Address(kind="sqlite", shown=url.render_as_string(), path=path)
    address._url = url
    return address


def _grpc(text: str, where: str) -> Address:
    wrong = EradioError(f"{where} must be written grpc://HOST:PORT, without user and password. Correct it.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or _GRPC_PORT
    except ValueError:
        raise wrong from None
    if not host or "@" in text or parts.path.strip("/") or parts.query or parts.fragment:
        raise wrong
    host = f"[{host}]" if ":" in host else host
    return Address(kind="grpc", shown=f"grpc://{host}:{port}", host=host, port=port)


def _server(scheme: str, rest: str, where: str) -> Address:
    kind, driver = _SERVERS[scheme]
    wrong = EradioError(f"{where} must be written {kind}://USER@HOST:PORT/DATABASE. Correct it.")
    if rest.count("@") > 1:
        raise EradioError(f"{where} has more than one @. Write an @ within a password or a name as %40.")
    try:
        url = make_url(f"{driver}:{rest}")
    except (ArgumentError, ValueError):
        raise wrong from None
    if not url.database or "/" in url.database:
        raise wrong
    hidden = url.update_query_dict({key: HIDDEN for key in url.query if not is_shown(key)})
    text = hidden.set(drivername=kind).render_as_string(hide_password=True).replace("%2A%2A%2A", HIDDEN)
    address = Address(kind=kind, shown=text, host=url.host, port=url.port)
    address._url = url
    return address
