"""Folders and their file systems."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from eradio.errors import MachineError
from eradio.study.preflight.folders import (
    check_clock,
    check_links,
    check_locks,
    check_writable,
    network_file_system,
    skew_warning,
)

TABLE = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local\\040disk xfs rw 0 0
//server/share /mnt/share cifs rw 0 0
lustre@tcp:/scratch /scratch lustre rw 0 0
me@server:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/fuse /mnt/fuse fuse.appimage rw 0 0
/dev/sdc1 /over ext4 rw 0 0
server:/over /over nfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/a.db", None),
        ("/homework/a.db", None),
        ("/home/me/a.db", "nfs4"),
        ("/home/local disk/a.db", None),
        ("/mnt/share/a.db", "cifs"),
        ("/scratch/me/a.db", "lustre"),
        ("/mnt/ssh/a.db", "fuse.sshfs"),
        ("/mnt/fuse/a.db", None),
        ("/over/a.db", "nfs"),
    ],
)
def test_a_network_file_system_is_known_by_the_nearest_mount(path: str, kind: str | None, mounts: Path) -> None:
    assert network_file_system(Path(path), mounts) == kind


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") is None
    assert network_file_system(Path("/proc")) is None


def test_a_folder_that_works_passes_and_nothing_stays_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    check_writable(folder)
    check_locks(folder)
    check_links(folder)
    assert check_clock(folder) is None
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="Check the folder and its permissions"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(MachineError, match="/proc/run"):
        check_writable(Path("/proc/run"))


def test_a_file_system_without_links_is_one_sentence() -> None:
    with pytest.raises(MachineError, match="no symbolic links"):
        check_links(Path("/proc"))


# No file system without locks can be mounted in a test, so the kernel's answers are played.
def test_a_file_system_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(MachineError, match=r"has no locks \(No locks available\)"):
        check_locks(tmp_path)


def test_locks_that_keep_nobody_out_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda handle, kind: None)
    with pytest.raises(MachineError, match="keep nobody out"):
        check_locks(tmp_path)


@pytest.mark.parametrize(("ours", "word"), [(-60, "ahead of"), (60, "behind")])
def test_a_clock_that_is_off_is_said(ours: float, word: str, tmp_path: Path) -> None:
    warning = check_clock(tmp_path, lambda: time.time() + ours)
    assert warning is not None
    assert f"seconds {word} this host's" in warning
    assert str(tmp_path) in warning


def test_the_time_that_an_answer_takes_is_no_skew() -> None:
    assert skew_warning(103.0, 100.0, 160.0, "x") is None
    assert skew_warning(158.0, 100.0, 160.0, "x") is None
    assert "is 40 seconds ahead" in str(skew_warning(200.0, 100.0, 160.0, "x"))
    assert "is 20 seconds behind" in str(skew_warning(80.0, 100.0, 160.0, "x"))
