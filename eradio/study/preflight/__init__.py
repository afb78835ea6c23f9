"""What is wrong with a study's storage and folder, said before anything starts.

What would lose or mix results, or cannot work, is an error; what may be meant so is a warning. Every check tries the
real thing where that leaves no trace, and may be made by many processes at once.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from eradio.study.address import Address, require_driver
from eradio.study.preflight.database import check_database
from eradio.study.preflight.folders import (
    MOUNTS,
    check_clock,
    check_links,
    check_locks,
    check_writable,
    network_file_system,
)
from eradio.study.preflight.hosts import Host, check_host, this_host
from eradio.study.preflight.journal import check_lines, check_lock_file, mend_last_line
from eradio.study.refusals import storage_refusals
from eradio.study.storage import OBJECTIVES, open_studies

__all__ = ["preflight"]


def preflight(
    address: Address,
    name: str,
    folder: Path,
    workers: int,
    objectives: Mapping[str, str] = OBJECTIVES,
    *,
    host: Host | None = None,
    mounts: Path = MOUNTS,
    clock: Callable[[], float] = time.time,
) -> list[str]:
    """See that a study can be kept where it is to be kept, by this process on this host.

    Args:
        address: where the trials are to be kept.
        name: of the study.
        folder: the run folder; created if missing.
        workers: how many processes are going to use the storage at once, on all hosts.
        objectives: of the study, with `minimize` or `maximize`.
        host: who asks; None for this host.
        mounts: the table of mounted file systems.
        clock: this host's time, in seconds since 1970.

    Returns:
        Sentences on what may be meant so, or was put right.

    Raises:
        StorageDownError: the storage does not answer at the moment.
        MachineError: the storage or the folder cannot be used until the user does something.
        EradioError: a package is missing, or the storage was made by another version of Optuna.
    """
    require_driver(address)
    check_writable(folder)
    check_locks(folder)
    found = [check_clock(folder, clock)]
    if address.path is not None:
        check_writable(address.path.parent)
        found.append(_network_warning(address, mounts))
    with storage_refusals(address):
        if address.kind == "journal":
            check_links(address.file.parent)
            found += [check_lock_file(address.file), mend_last_line(address.file)]
            check_lines(address.file)
        elif address.kind == "grpc":
            open_studies(address, name, objectives)
        else:
            found += check_database(address, workers, clock)
        if not address.shared:
            studies = open_studies(address, name, objectives)
            network = network_file_system(address.file, mounts) is not None
            check_host(studies["candidate"], address, host or this_host(), network=network)
    return [warning for warning in found if warning]


def _network_warning(address: Address, mounts: Path) -> str | None:
    kind = network_file_system(address.file, mounts)
    if kind is None:
        return None
    if address.kind == "sqlite":
        return (
            f"{address.file} lies on a network file system ({kind}), where SQLite is slow, and safe at best for the "
            "processes of one host. Keep it on a local disk, or use PostgreSQL (storage: postgresql://...)."
        )
    return (
        f"{address.file} lies on a network file system ({kind}): all hosts must see each other's writes at once and "
        "agree on new links, as NFS does unless it is mounted with long caching. Use PostgreSQL where you can."
    )
