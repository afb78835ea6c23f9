"""All checks together, as a search makes them."""

import os
from pathlib import Path

import pytest

from eradio.errors import MachineError, StorageDownError
from eradio.study.address import parse_address, study_address
from eradio.study.preflight import preflight
from eradio.study.preflight.hosts import Host
from eradio.study.storage import open_studies
from tests.services import free_port
from tests.study.storages import KINDS, fresh


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_storage_gives_no_warning_before_and_after(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with fresh(kind, tmp_path, request) as address:
        for _ in range(2):
            assert preflight(address, "s", tmp_path / "run", 4) == []
            study = open_studies(address, "s")["candidate"]
            study.tell(study.ask(), [1.0, 2.0])


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_file_on_a_network_file_system_is_said(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    with fresh(kind, tmp_path, request) as address:
        said = preflight(address, "s", tmp_path / "run", 1, mounts=mounts)
    assert len(said) == 1
    assert "network file system (nfs4)" in said[0]


def test_a_second_host_is_refused_there(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    address = study_address(tmp_path, None, {})
    preflight(address, "s", tmp_path, 1, mounts=mounts)
    with pytest.raises(MachineError, match="used from elsewhere as well"):
        preflight(address, "s", tmp_path, 1, mounts=mounts, host=Host(name="elsewhere", identity="2"))
    assert preflight(address, "s", tmp_path, 1, host=Host(name="elsewhere", identity="2")) == []


def test_a_torn_journal_is_mended_and_said(tmp_path: Path) -> None:
    address = parse_address(f"journal:{tmp_path / 'a.log'}", "the test")
    open_studies(address, "s")
    os.truncate(address.file, address.file.stat().st_size - 5)
    said = preflight(address, "s", tmp_path, 1)
    assert len(said) == 1
    assert "was torn" in said[0]
    assert preflight(address, "s", tmp_path, 1) == []


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_said(scheme: str, tmp_path: Path) -> None:
    address = parse_address(f"{scheme}://me@127.0.0.1:{free_port()}/d", "the test")
    with pytest.raises(StorageDownError, match="does not answer"):
        preflight(address, "s", tmp_path, 1)


def test_a_folder_for_the_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="/proc"):
        preflight(parse_address("sqlite:////proc/x/a.db", "the test"), "s", tmp_path, 1)
