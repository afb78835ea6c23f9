"""The password is in no output, no file and no process title, whatever goes right or wrong."""

import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.address import parse_address
from eradio.study.preflight import preflight
from eradio.study.storage import open_studies
from tests.services import PASSWORD, QUOTED, Postgres, free_port
from tests.study.test_search import TINY

SPELLINGS = tuple(
    text.encode() for text in (PASSWORD, QUOTED, repr(PASSWORD)[1:-1], json.dumps(PASSWORD)[1:-1], "pa55")
)


def _leaks(content: bytes) -> bool:
    return any(spelling in content for spelling in SPELLINGS)


def _titles() -> bytes:
    """The command lines of all processes, as `ps` shows them to everybody."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(found)


def _search(folder: Path, storage: str) -> tuple[int, bytes, bool]:
    """A whole search by the command line: its status, all it said, and whether a title gave the password away."""
    (folder / "study.yaml").write_text(json.dumps({**TINY, "trials": 1, "finalists": 0, "baselines": "none"}))
    command = [sys.executable, "-m", "eradio", "search", "--config", str(folder / "study.yaml"), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--out", str(folder / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "ERADIO_STORAGE": storage},
    )
    seen, ended = [], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            seen.append(_leaks(_titles()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.communicate()[0]
    ended.set()
    watcher.join()
    assert seen
    return process.returncode, said, any(seen)


def _files(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and _leaks(path.read_bytes())]


@pytest.mark.slow
def test_a_search_that_goes_well_keeps_it(database: str, postgres: Postgres, tmp_path: Path) -> None:
    status, said, shown = _search(tmp_path, database)
    assert status == 0, said.decode()
    assert not _leaks(said)
    assert not shown
    assert _files(tmp_path) == []
    study = open_studies(parse_address(database, "the test"), "default")["candidate"]
    assert [len(trial.values) for trial in study.trials if trial.values] == [2]
    assert not _leaks((postgres.folder / "log").read_bytes())


@pytest.mark.slow
def test_a_search_that_is_refused_keeps_it(postgres: Postgres, tmp_path: Path) -> None:
    status, said, shown = _search(tmp_path, postgres.url("not_there"))
    assert status != 0
    assert b"does not exist" in said
    assert b"Traceback" not in said
    assert not _leaks(said)
    assert not shown
    assert _files(tmp_path) == []


def _wrong(postgres: Postgres) -> list[str]:
    name = postgres.create_database()
    good = postgres.url(name)
    return [
        good.replace("127.0.0.1", "no-such-host.invalid"),
        good.replace(str(postgres.port), str(free_port())),
        postgres.url("not_there"),
        postgres.url(name, user="nobody"),
        postgres.url(name, user=postgres.role(name)),
        postgres.url(name, password=QUOTED + "x"),
        f"{good}?nonsense={QUOTED}",
        f"{good}?nonsense=1&also={QUOTED}",
        f"{good}?sslmode=verify-full&sslrootcert=/none&sslpassword={QUOTED}",
        good.replace("postgresql://", "postgre://"),
        good.replace("postgresql://", "postgresql+asyncpg://"),
        good.replace("127.0.0.1:", "127.0.0.1:x"),
        good.replace("/t", "/"),
        good.replace("%40", "@"),
        good.replace("postgresql://", "mysql://") + "?read_timeout=1",
        good.replace("postgresql://", "grpc://"),
        good.replace("postgresql://", ""),
    ]


def test_no_mistake_in_an_address_gives_it_away(
    postgres: Postgres, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for text in _wrong(postgres):
        for use in (lambda address: preflight(address, "s", tmp_path, 1), lambda address: open_studies(address, "s")):
            with pytest.raises(EradioError) as refusal:
                use(parse_address(text, "ERADIO_STORAGE"))
            # As it would be printed if nobody caught it.
            story = "".join(traceback.format_exception(refusal.value)).replace(text, "")
            assert not _leaks(story.encode()), story
    captured = capfd.readouterr()
    assert not _leaks((captured.out + captured.err + caplog.text).encode())
    assert _files(tmp_path) == []
