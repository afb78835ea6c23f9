"""Storages of every kind for tests, each on the real thing."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eradio.study.address import Address, parse_address
from tests.services import free_port

KINDS = ("sqlite", "postgresql", "mysql", "journal", "grpc")

_PROXY = """
import sys
import optuna
optuna.storages.run_grpc_proxy_server(optuna.storages.get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


@contextmanager
def proxy(storage: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Optuna's gRPC proxy before a storage, as a process."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _PROXY, storage, str(port)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def fresh(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Address]:
    """The address of an empty storage."""
    if kind == "sqlite":
        yield parse_address(f"sqlite:///{folder / 'a.db'}", "the test")
    elif kind == "journal":
        yield parse_address(f"journal:{folder / 'a.log'}", "the test")
    elif kind == "grpc":
        pytest.importorskip("grpc", reason="the Python package grpcio is not installed")
        port = free_port()
        with proxy(f"sqlite:///{folder / 'behind.db'}", port):
            yield parse_address(f"grpc://127.0.0.1:{port}", "the test")
    else:
        server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
        yield parse_address(server.url(server.create_database()), "the test")


def until(happened, seconds: float = 60.0) -> None:
    """Wait for something, and fail if it never comes."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
