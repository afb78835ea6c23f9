"""What a storage's libraries raise, as sentences without a password, in two classes.

A `StorageDownError` may pass by itself: connection refused or lost, a server that restarts, a locked file. Any other
`MachineError` is the user's to mend. What is not a storage's doing goes through as it is.
"""

import errno
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from eradio.errors import EradioError, MachineError, StorageDownError
from eradio.study.address import VARIABLE, Address

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"is full|disk full|no space left|quota exceeded|disk i/o",
        "No room left for {where}. Free some space, then run the same command again.",
    ),
    (
        r"password authentication failed|no password supplied|using password: (yes|no)|role .* does not exist"
        r"|authentication (failed|plugin)|not permitted to log in",
        f"{{where}} refuses the user or its password ({{reason}}). Correct the address in {VARIABLE}, or the password "
        "in PGPASSWORD or ~/.pgpass.",
    ),
    (
        r"no pg_hba\.conf entry|is not allowed to connect",
        "{where} does not admit this host ({reason}). Ask its administrator to, or try ?sslmode=require.",
    ),
    (
        r"database .* does not exist|unknown database",
        "The database of {where} does not exist. Create it, for PostgreSQL with `createdb`, or correct the address.",
    ),
    (
        r"permission denied|access denied|command denied|must be owner|read-?only",
        "{where} may not be read or written as a search needs it ({reason}). Give its user the right to, then try "
        "again.",
    ),
    (
        r"does not support ssl|certificate|sslmode value",
        "{where} does not agree with the encryption that its address asks for ({reason}). Correct what follows the ?.",
    ),
    (
        r"name or service not known|no address associated|nodename nor servname",
        "The host of {where} is not known here ({reason}). Correct the address.",
    ),
    (
        r"invalid connection option|invalid \w+ value|unexpected keyword argument|invalid integer value",
        "The options of {where} are not those of its client library ({reason}). Correct what follows the ?.",
    ),
)
"""What to say of a reason that only the user can mend; the first that fits."""

_PASSES = re.compile(
    r"connection (refused|reset|timed out|timeout|is (closed|lost))|could not (receive|send) data|eof detected"
    r"|the connection is closed|lost connection|closed the connection|connection (was |has been )?(killed|closed|lost)"
    r"|terminating connection|timeout expired|until invalid transaction is rolled back"
    r"|server has gone away|can't connect|is the server running|starting up|shutting down|shutdown in progress"
    r"|recovery mode|not yet accepting|consuming input failed|broken pipe|no route to host|network is unreachable"
    r"|temporary failure in name resolution|too many (clients|connections)|connection slots|queuepool limit"
    r"|database (table )?is locked|deadlock|could not serialize|lock wait timeout|lock timeout|did not possess lock"
    r"|stale file handle|failed to connect to all addresses|socket closed|host is down",
    re.IGNORECASE,
)
_FRAME = re.compile(r"connection (failed|is bad): (connection to server [^\n]*? failed: )?")
_REST = re.compile(r"\s+(Is the server running|Multiple connection attempts failed|LINE \d+:).*", re.DOTALL)
"""What a client library says around its reason: the place, which we say ourselves, and what may be tried."""

_PASSING_STATES = ("08", "40", "53300", "55P03", "57P01", "57P02", "57P03", "57P05")
_PASSING_NUMBERS = (errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTDOWN, errno.EINTR)
_PASSING_ANSWERS = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")


@contextmanager
def storage_refusals(address: Address) -> Iterator[None]:
    """Turn what Optuna and the libraries below it raise when the storage refuses into a sentence.

    Raises:
        StorageDownError: the storage does not answer at the moment.
        MachineError: the storage cannot be read or written until the user does something.
    """
    try:
        yield
    except Exception as error:
        translated = storage_error(error, address)
        if translated is None:
            raise
        # Without the chain: a library's message is shown only as scrubbed.
        raise translated from None


def storage_error(error: BaseException, address: Address) -> MachineError | None:
    """The sentence for a storage's refusal, or None for an error that is none."""
    if isinstance(error, EradioError) or not _is_the_storage_s(error):
        return None
    said, reason = _innermost(error), reason_of(error, address)
    if isinstance(error, KeyError):
        return MachineError(
            f"The study is not in {address} any more; somebody deleted it. Begin another one, or bring back a backup."
        )
    for pattern, sentence in _ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return MachineError(sentence.format(where=address, reason=reason))
    if _passes(error, said):
        return StorageDownError(
            f"{address} does not answer ({reason}). See that it runs and can be reached from here, then run the same "
            "command again; nothing that was finished is lost."
        )
    if address.kind == "journal" and not isinstance(error, OSError):
        return MachineError(
            f"{address} has a line that cannot be read ({reason}). End all workers, then start the search again: it "
            "sets a torn last line aside."
        )
    return MachineError(f"{address} cannot be used ({reason}). Check it, and the rights of its user.")


def reason_of(error: BaseException, address: Address) -> str:
    """What a library gave as its reason, in one line, without its place and without the address's secrets."""
    text = _REST.sub("", _FRAME.sub("", address.scrub(_innermost(error))))
    return " ".join(text.split())[:300].rstrip(".") or type(error).__name__


def _is_the_storage_s(error: BaseException) -> bool:
    if isinstance(error, SQLAlchemyError | StorageInternalError | sqlite3.Error):
        return True
    if isinstance(error, UnboundLocalError):
        # A lost connection within Optuna 5's own loop shows as a variable that was never set.
        return "updated_state" in str(error)
    if type(error).__module__.split(".")[0] in ("psycopg", "pymysql", "grpc"):
        return True
    # Some plain errors come through too; the same classes raised elsewhere are mistakes of ours.
    plain = isinstance(error, OSError | ValueError | TypeError | AttributeError | RuntimeError | KeyError)
    return plain and _raised_in(error).startswith(("optuna.storages.", "sqlalchemy."))


def _raised_in(error: BaseException) -> str:
    """The module whose code raised an error; what reads JSON for a storage counts as the storage."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        module = module if module.startswith("optuna.storages") and name.startswith("json") else name
        trace = trace.tb_next
    return module


def _innermost(error: BaseException) -> str:
    """What the innermost library said: Optuna wraps SQLAlchemy, which wraps the driver."""
    if isinstance(error, UnboundLocalError):
        return "the connection was lost"
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    details = getattr(error, "details", None)
    if callable(details):
        return str(details())
    error = getattr(error, "orig", None) or error
    # MySQL's driver gives a number and a text.
    return str(error.args[1] if len(error.args) == 2 and isinstance(error.args[0], int) else error)


def _passes(error: BaseException, said: str) -> bool:
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    state = str(getattr(getattr(cause, "orig", cause), "sqlstate", None) or "")
    if state.startswith(_PASSING_STATES) or getattr(cause, "connection_invalidated", False):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING_NUMBERS:
        return True
    grpc = sys.modules.get("grpc")
    if grpc is not None and isinstance(error, grpc.RpcError) and error.code().name in _PASSING_ANSWERS:
        return True
    return _PASSES.search(said) is not None
