"""Where trials are kept: every kind, whose word counts, and no password anywhere."""

import copy
import json
import pickle
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.address import Address, parse_address, refuse_password, require_driver, study_address
from tests.services import PASSWORD, QUOTED


def _address(text: str) -> Address:
    return parse_address(text, "the test")


def test_without_a_word_it_is_a_file_in_the_run_folder(tmp_path: Path) -> None:
    address = study_address(tmp_path, None, {})
    assert (address.kind, address.file, address.shared) == ("sqlite", tmp_path / "study.db", False)


def test_the_environment_counts_before_the_study_file(tmp_path: Path) -> None:
    assert study_address(tmp_path, "journal:a.log", {"ERADIO_STORAGE": "grpc://localhost:1"}).kind == "grpc"
    assert study_address(tmp_path, "journal:a.log", {"ERADIO_STORAGE": " "}).kind == "journal"
    with pytest.raises(EradioError, match="ERADIO_STORAGE"):
        study_address(tmp_path, None, {"ERADIO_STORAGE": "nonsense"})


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("postgresql://me@h/d", "postgresql", "postgresql://me@h/d"),
        ("postgres://me@h:1/d", "postgresql", "postgresql://me@h:1/d"),
        ("postgresql+psycopg://h/d", "postgresql", "postgresql://h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql", "postgresql:///d?host=%2Frun%2Fpostgresql"),
        ("mysql://me@h/d", "mysql", "mysql://me@h/d"),
        ("mariadb://me@h/d", "mysql", "mysql://me@h/d"),
        ("sqlite:////a/b.db", "sqlite", "sqlite:////a/b.db"),
        ("journal:/a/b.log", "journal", "journal:/a/b.log"),
        ("journal:///a/b.log", "journal", "journal:/a/b.log"),
        ("grpc://h:13", "grpc", "grpc://h:13"),
        ("grpc://h", "grpc", "grpc://h:13000"),
        ("grpc://[::1]:13", "grpc", "grpc://[::1]:13"),
    ],
)
def test_every_kind_is_understood_and_what_is_shown_means_the_same(text: str, kind: str, shown: str) -> None:
    address = _address(text)
    assert (address.kind, address.shown) == (kind, shown)
    assert _address(address.shown) == address


def test_drivers_are_chosen_for_the_user() -> None:
    assert _address("postgresql://h/d").url.drivername == "postgresql+psycopg"
    assert _address("mysql://h/d").url.drivername == "mysql+pymysql"


def test_relative_paths_and_homes_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _address("sqlite:///a.db").file == tmp_path / "a.db"
    assert _address("journal:a.log").file == tmp_path / "a.log"
    assert _address("journal:~/a.log").file == tmp_path / "home" / "a.log"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "The kinds are sqlite:///PATH"),
        ("redis://me:SECRET@h", "redis:// is no kind of storage"),
        ("postgresql+asyncpg://me:SECRET@h/d", "Write postgresql://"),
        ("postgresql://me:SEC@RET@h/d", "%40"),
        ("postgresql://me:SECRET", "postgresql://USER@HOST:PORT/DATABASE"),
        ("postgresql://me:SECRET@h", "postgresql://USER@HOST:PORT/DATABASE"),
        ("grpc://me:SECRET@h:1", "without user and password"),
        ("grpc://h:SECRET", "grpc://HOST:PORT"),
        ("sqlite://a.db", "sqlite:///PATH"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///a.db?mode=ro", "sqlite:///PATH"),
        ("journal:", "must name a file"),
    ],
)
def test_a_mistake_is_one_sentence_that_repeats_no_secret(text: str, words: str) -> None:
    with pytest.raises(EradioError) as refusal:
        _address(text)
    assert "the test" in str(refusal.value)
    assert words in str(refusal.value)
    assert not any(part in str(refusal.value) for part in ("SEC", "RET"))


def test_the_password_is_in_nothing_that_is_shown_or_written() -> None:
    address = _address(f"postgresql://me:{QUOTED}@h/d?sslpassword=kept1&password=kept2&sslmode=require")
    forms = [address.shown, str(address), repr(address), f"{address}", json.dumps(address.model_dump(mode="json"))]
    forms += [address.canonical(), repr(address.model_dump()), repr(vars(address)), address.model_dump_json()]
    for form in forms:
        assert not any(secret in form for secret in (PASSWORD, QUOTED, "pa55", "kept"))
    assert "pa55" not in _address(f"postgresql://me@h/d?mistaken={QUOTED}").shown
    assert "me:***@h/d" in address.shown
    assert "sslmode=require" in address.shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(address)
    assert copy.deepcopy(address).url.password == PASSWORD


def test_a_library_s_message_is_scrubbed_however_the_password_is_spelt() -> None:
    address = _address(f"postgresql://me:{QUOTED}@h/d?sslpassword=kept")
    text = f"a {PASSWORD} b {QUOTED} c {address.url.render_as_string(hide_password=False)} d {PASSWORD!r} e kept"
    assert "pa55" not in address.scrub(text)
    assert "kept" not in address.scrub(text)
    assert "a *** b *** c postgresql+psycopg://me:***@h/d" in address.scrub(text)


@pytest.mark.parametrize("text", ["postgresql://me:pw@h/d", "mysql://:pw@h/d", "postgresql://h/d?password=pw"])
def test_a_password_on_the_command_line_is_refused(text: str) -> None:
    with pytest.raises(EradioError, match="ERADIO_STORAGE") as refusal:
        refuse_password(text)
    assert "pw" not in str(refusal.value)


@pytest.mark.parametrize("text", ["postgresql://me@h:5432/d?sslmode=require", "journal:/a:b@c", "grpc://h:1", "x"])
def test_an_address_without_one_is_not(text: str) -> None:
    refuse_password(text)


def test_a_missing_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    require_driver(_address("postgresql://h/d"))
    monkeypatch.setattr("eradio.study.address.find_spec", lambda name: None)
    for text in ("postgresql://h/d", "mysql://h/d", "grpc://h:1"):
        with pytest.raises(EradioError, match=r"pip install 'eradio\[cluster\]'"):
            require_driver(_address(text))
    require_driver(_address("journal:a"))
