"""Journals that were damaged for real."""

import multiprocessing
import os
from pathlib import Path

import pytest

from eradio.errors import MachineError
from eradio.study.address import parse_address
from eradio.study.preflight.journal import check_lines, check_lock_file, mend_last_line
from eradio.study.storage import open_studies


def _filled(path: Path, trials: int = 3) -> bytes:
    study = open_studies(parse_address(f"journal:{path}", "the test"), "s")["candidate"]
    for _ in range(trials):
        study.tell(study.ask(), [1.0, 2.0])
    return path.read_bytes()


def test_a_sound_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert mend_last_line(path) is None
    assert check_lock_file(path) is None
    check_lines(path)
    content = _filled(path)
    assert mend_last_line(path) is None
    check_lines(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.log"]


@pytest.mark.parametrize("cut", [1, 15, 60])
def test_a_torn_last_line_is_set_aside_and_the_study_goes_on(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    content = _filled(path)
    os.truncate(path, len(content) - cut)
    said = mend_last_line(path)
    whole = content[:-cut]
    whole = whole[: whole.rfind(b"\n") + 1]
    assert path.read_bytes() == whole
    kept = next(tmp_path.glob("a.log.torn-*"))
    assert whole + kept.read_bytes() == content[:-cut]
    assert said is not None
    assert str(kept) in said
    study = open_studies(parse_address(f"journal:{path}", "the test"), "s")["candidate"]
    number = study.ask().number
    assert [trial.number for trial in study.trials] == list(range(number + 1))


def test_a_journal_of_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b'{"op_code":')
    assert mend_last_line(path)
    assert path.read_bytes() == b""


def test_processes_that_mend_at_once_set_the_line_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    content = _filled(path)
    os.truncate(path, len(content) - 10)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        said = pool.map(mend_last_line, [path] * 8)
    assert sum(text is not None for text in said) == 1
    assert len(list(tmp_path.glob("a.log.torn-*"))) == 1


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = _filled(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:10], *lines[3:]]))
    with pytest.raises(MachineError, match=rf"Line 3 of {path}"):
        check_lines(path)


def test_a_lock_that_was_left_is_said_and_one_that_goes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    _filled(path)
    lock = tmp_path / "a.log.lock"
    lock.symlink_to(path)
    said = check_lock_file(path, seconds=0.1)
    assert said is not None
    assert str(lock) in said
    assert check_lock_file(path, sleep=lambda seconds: lock.unlink(missing_ok=True)) is None
