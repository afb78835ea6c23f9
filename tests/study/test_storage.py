"""The studies in storages of every kind, each on the real thing."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from eradio.errors import EradioError, MachineError, StorageDownError
from eradio.study.address import Address, parse_address, study_address
from eradio.study.storage import CONNECTIONS, open_studies, refuse_missing
from tests.services import PASSWORD, Postgres, free_port
from tests.study.storages import KINDS, fresh

_OPEN = """
import sys
from pathlib import Path
from eradio.study.address import study_address
from eradio.study.storage import open_studies
print("ready", flush=True)
sys.stdin.readline()
studies = open_studies(study_address(Path("."), None), "s")
trial = studies["candidate"].ask()
studies["candidate"].tell(trial, [1.0, 2.0])
print(trial.number)
"""


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path):
    with fresh(request.param, tmp_path, request) as address:
        yield address


def test_trials_are_kept_and_found_again(address: Address) -> None:
    candidates, baselines, _ = open_studies(address, "s").values()
    trial = candidates.ask()
    trial.suggest_categorical("width", [8, 16])
    trial.set_user_attr("words", "ünï " * 3000)
    candidates.tell(trial, [0.5, 100.0])
    baselines.enqueue_trial({"network": "resnet18"})
    candidates, baselines, _ = open_studies(address, "s").values()
    assert [trial.values for trial in candidates.trials] == [[0.5, 100.0]]
    assert candidates.trials[0].user_attrs["words"].startswith("ünï")
    assert [trial.state for trial in baselines.trials] == [TrialState.WAITING]
    assert (candidates.study_name, baselines.study_name) == ("s", "s-baselines")
    assert candidates.metric_names == ["validation distillation loss", "images per second"]


def test_a_study_of_the_right_directions_is_taken_over_and_another_refused(address: Address) -> None:
    storage = open_studies(address, "s")["candidate"]._storage
    optuna.create_study(storage=storage, study_name="right", directions=["minimize", "maximize"])
    assert open_studies(address, "right")["candidate"].study_name == "right"
    optuna.create_study(storage=storage, study_name="wrong", directions=["minimize"])
    with pytest.raises(EradioError, match=r"'wrong' with the directions \(minimize\) instead of \(minimize, maximize"):
        open_studies(address, "wrong")


def test_a_study_that_is_not_there_is_missed_and_not_made(address: Address) -> None:
    with pytest.raises(EradioError, match="There is no study 's' in "):
        refuse_missing(address, "s")
    if address.path is not None:
        assert not address.path.exists()
    open_studies(address, "another")
    with pytest.raises(EradioError, match="There is no study 's' in "):
        refuse_missing(address, "s")
    open_studies(address, "s")
    refuse_missing(address, "s")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mysql"])
def test_workers_that_start_at_once_on_an_empty_storage_all_open_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh(kind, tmp_path, request) as address:
        monkeypatch.setenv("ERADIO_STORAGE", address.url.render_as_string(hide_password=False))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        workers = [subprocess.Popen([sys.executable, "-c", _OPEN], **pipes) for _ in range(3)]
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        numbers = sorted(worker.communicate()[0].strip() for worker in workers)
        assert numbers == ["0", "1", "2"]


def test_a_folder_of_any_name_can_hold_a_study(tmp_path: Path) -> None:
    folder = tmp_path / "a {b} 100%25 c#"
    folder.mkdir()
    open_studies(study_address(folder, None), "s")
    assert (folder / "study.db").exists()
    assert parse_address(study_address(folder, None).shown, "the test").file == folder / "study.db"


def test_a_process_keeps_few_connections_that_bear_our_name_and_no_heartbeat(database: str, postgres: Postgres) -> None:
    address = parse_address(database, "the test")
    candidates, baselines, _ = open_studies(address, "s").values()
    for study in (candidates, baselines) * 3:
        study.tell(study.ask(), [1.0, 2.0])
    name = address.url.database
    rows = postgres.sql(f"SELECT application_name FROM pg_stat_activity WHERE datname = '{name}'")
    assert 1 <= len(rows) <= CONNECTIONS
    assert set(rows) == {("eradio",)}
    assert postgres.sql("SELECT count(*) FROM trial_heartbeats", database=name) == [(0,)]


def test_what_the_address_says_of_the_connection_counts(database: str, postgres: Postgres) -> None:
    address = parse_address(f"{database}?application_name=mine", "the test")
    open_studies(address, "s")
    rows = postgres.sql(f"SELECT application_name FROM pg_stat_activity WHERE datname = '{address.url.database}'")
    assert rows == [("mine",)]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_one_that_may_come(scheme: str) -> None:
    address = parse_address(f"{scheme}://me:pa55word@127.0.0.1:{free_port()}/d", "the test")
    with pytest.raises(StorageDownError, match="does not answer") as refusal:
        open_studies(address, "s")
    assert "pa55word" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_what_only_the_user_can_mend_is_said(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    name = server.create_database()
    mistakes = {
        server.url(name, password="wrong-one"): "refuses the user or its password",
        server.url(name, user="nobody-known"): "refuses the user or its password",
        server.url("not_there"): "does not exist",
        server.url(name).replace("127.0.0.1", "no-such-host.invalid"): "not known here",
        server.url(name) + "?nonsense=1": "options of",
    }
    for text, words in mistakes.items():
        with pytest.raises(MachineError, match=words) as refusal:
            open_studies(parse_address(text, "the test"), "s")
        assert not isinstance(refusal.value, StorageDownError), text
        assert not any(secret in str(refusal.value) for secret in ("wrong-one", PASSWORD, "pa55"))


def test_a_file_that_is_no_study_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("something else " * 1000)
    with pytest.raises(MachineError, match=r"a\.db cannot be used"):
        open_studies(parse_address(f"sqlite:///{tmp_path / 'a.db'}", "the test"), "s")
    (tmp_path / "a.log").write_text("something else\nand more\n")
    with pytest.raises(MachineError, match="line that cannot be read"):
        open_studies(parse_address(f"journal:{tmp_path / 'a.log'}", "the test"), "s")
