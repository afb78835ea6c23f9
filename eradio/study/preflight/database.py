"""What a database must allow, tried without leaving a trace."""

import re
import secrets
from collections.abc import Callable

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from eradio.errors import MachineError
from eradio.study.address import Address
from eradio.study.preflight.folders import skew_warning
from eradio.study.refusals import reason_of
from eradio.study.storage import CONNECTIONS, engine_options, open_database

_TABLES = (
    "studies",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "trials",
    "trial_params",
    "trial_values",
    "trial_user_attributes",
    "trial_system_attributes",
)
"""Of Optuna's tables, those that a search writes."""

_CLOCKS = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT unix_timestamp(sysdate(6))",
}
_PLACES = {
    "postgresql": "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')"
    "::int, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
    "mysql": "SELECT @@max_connections, (SELECT count(*) FROM information_schema.processlist)",
}
"""Places for clients, and how many are taken."""

_REFUSED = re.compile(r"denied|read-?only|must be owner|insufficient", re.IGNORECASE)


def check_database(address: Address, workers: int, clock: Callable[[], float]) -> list[str | None]:
    """See that a database can be reached and written, fits this Optuna, and has places for all workers.

    Args:
        address: of a kind that is a database.
        workers: how many processes are going to use it at once.
        clock: this host's time, in seconds since 1970.

    Returns:
        Warnings.

    Raises:
        MachineError: its user lacks a right, or it has too few places.
        EradioError: it was made by another version of Optuna.
        SQLAlchemyError: it cannot be reached.
    """
    options = {"connect_args": engine_options(address)["connect_args"], "poolclass": NullPool}
    engine = create_engine(address.url, **options)
    with engine.connect() as connection:
        check_schema(connection, address)
        check_rights(connection, address)
        if address.kind == "sqlite":
            return []
        return [check_server_clock(connection, address, clock), check_places(connection, address, workers)]


def check_schema(connection: Connection, address: Address) -> None:
    """See that tables which are there already are those of this Optuna, before it would add to them.

    Raises:
        EradioError: they are older or newer.
    """
    if inspect(connection).has_table("alembic_version") and inspect(connection).has_table("version_info"):
        connection.rollback()
        open_database(address, create=False).engine.dispose()


def check_rights(connection: Connection, address: Address) -> None:
    """Make a table, or write to those that are there, and take it back.

    Raises:
        MachineError: the user may not.
    """
    tables = [table for table in _TABLES if inspect(connection).has_table(table)]
    try:
        if "studies" not in tables:
            name = f"eradio_tried_{secrets.token_hex(6)}"
            connection.execute(text(f"CREATE TABLE {name} (n INTEGER)"))
            connection.execute(text(f"DROP TABLE {name}"))
        for table in tables:
            column = connection.dialect.identifier_preparer.quote(inspect(connection).get_columns(table)[0]["name"])
            # Not a row is touched, and yet the right is asked for.
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0"))
            connection.execute(text(f"UPDATE {table} SET {column} = {column} WHERE 1 = 0"))
        if tables:
            # A real row, for the right to count on: its number comes from a sequence with rights of its own.
            statement = text("INSERT INTO studies (study_name) VALUES (:name)")
            connection.execute(statement, {"name": f"eradio-tried-{secrets.token_hex(6)}"})
    except SQLAlchemyError as error:
        if not _REFUSED.search(str(getattr(error, "orig", error))):
            raise
        raise _lacking(error, address, create="studies" not in tables) from None
    finally:
        connection.rollback()


def check_server_clock(connection: Connection, address: Address, clock: Callable[[], float]) -> str | None:
    """A warning where this host's clock and the server's are seconds apart."""
    before = clock()
    theirs = float(connection.execute(text(_CLOCKS[address.kind])).scalar_one())
    return skew_warning(theirs, before, clock(), str(address))


def check_places(connection: Connection, address: Address, workers: int) -> str | None:
    """A warning where other clients leave too few places for all workers at this moment.

    Raises:
        MachineError: there would be too few even if nobody else came.
    """
    places, taken = (int(number) for number in connection.execute(text(_PLACES[address.kind])).one())
    needed = CONNECTIONS * (workers + 1)
    advice = f"Set its max_connections to {needed + 20} or more, start fewer workers, or put a pool before it."
    if needed > places:
        raise MachineError(
            f"{address} has {places} places for connections, and {workers} workers and the search need up to {needed}. "
            f"{advice}"
        )
    # Our own connection is among those taken.
    if needed > places - taken + 1:
        return (
            f"{address} has {places} places for connections, of which others hold {taken - 1}, and {workers} workers "
            f"and the search need up to {needed}. {advice}"
        )
    return None


def _lacking(error: SQLAlchemyError, address: Address, *, create: bool) -> MachineError:
    user = address.url.username or "the user"
    what = "make tables in" if create else "write to the tables of"
    grants = "ALL ON ALL TABLES IN SCHEMA public TO {user}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user};"
    cure = {
        ("postgresql", True): f"let the database's owner run GRANT CREATE, USAGE ON SCHEMA public TO {user};",
        ("postgresql", False): f"let the tables' owner run GRANT {grants.format(user=user)}",
        ("mysql", True): f"let an administrator run GRANT ALL ON {address.url.database}.* TO {user};",
        ("mysql", False): f"let an administrator run GRANT ALL ON {address.url.database}.* TO {user};",
    }.get((address.kind, create), "give yourself the right to write the file and its folder.")
    subject = user if address.kind != "sqlite" else "this process"
    return MachineError(f"{subject} may not {what} {address} ({reason_of(error, address)}). To mend it, {cure}")
