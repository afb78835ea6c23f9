"""One host for a study in a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from eradio.errors import MachineError
from eradio.study.address import study_address
from eradio.study.preflight.hosts import Host, check_host, this_host
from eradio.study.storage import open_studies

HERE, THERE = Host(name="here", identity="1"), Host(name="there", identity="2")


def test_a_host_is_the_same_one_every_time() -> None:
    assert this_host() == this_host()
    assert this_host().name


def test_over_the_network_a_second_host_is_refused_until_the_first_is_given_up(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    study = open_studies(address, "s")["candidate"]
    for _ in range(2):
        check_host(study, address, HERE, network=True)
    with pytest.raises(MachineError, match="belongs to the host here; used from there") as refusal:
        check_host(study, address, THERE, network=True)
    command = str(refusal.value).split("`")[1].split()
    assert command[0] == "optuna"
    subprocess.run([Path(sys.executable).with_name("optuna"), *command[1:]], check=True, capture_output=True)
    check_host(open_studies(address, "s")["candidate"], address, THERE, network=True)
    with pytest.raises(MachineError, match="belongs to the host there"):
        check_host(study, address, HERE, network=True)


def test_on_a_local_disk_the_study_goes_along(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    study = open_studies(address, "s")["candidate"]
    check_host(study, address, HERE, network=False)
    check_host(study, address, THERE, network=False)
    assert study.user_attrs["host"]["name"] == "there"
