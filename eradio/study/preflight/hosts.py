"""Which host a study in a file belongs to, since SQLite on a network file system must never be used from two."""

import socket
from pathlib import Path

from optuna.study import Study

from eradio.description import Description, digest_of
from eradio.errors import MachineError
from eradio.study.address import Address

ATTRIBUTE = "host"
"""The study's user attribute that says which host used it last."""

_IDENTITIES = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))


class Host(Description):
    """A host: its name for people, and a digest that tells it from another of that name."""

    name: str
    identity: str


def this_host() -> Host:
    """The host that this process runs on."""
    name = socket.gethostname()
    return Host(name=name, identity=digest_of([name, _machine()]))


def check_host(study: Study, address: Address, host: Host, *, network: bool) -> None:
    """See that a study in a file has one host, and write down which.

    On a local file system another name is a folder that was moved, or a container that was made anew, and the study
    goes along.

    Args:
        study: the candidates' study.
        address: where it is kept.
        host: who wants to use it.
        network: whether the file lies on a network file system, where another host could use it at the same time.

    Raises:
        MachineError: another host has used it over the network.
    """
    known = study.user_attrs.get(ATTRIBUTE)
    if isinstance(known, dict) and known.get("identity") == host.identity:
        return
    if network and isinstance(known, dict):
        raise MachineError(
            f"{address} is an SQLite file that belongs to the host {known.get('name')}; used from {host.name} as well, "
            "over a network file system, it would be damaged. Go on there, or give the search a PostgreSQL storage. If "
            f"nothing uses it there any more, run `optuna study set-user-attr --storage {address} --study-name "
            f"{study.study_name} --key {ATTRIBUTE} --value none`, then try again."
        )
    study.set_user_attr(ATTRIBUTE, host.model_dump(mode="json"))


def _machine() -> str:
    for path in _IDENTITIES:
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if text:
            return text
    return ""
