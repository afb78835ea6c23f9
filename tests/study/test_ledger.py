"""Claims: nothing lost, nothing twice, whatever is killed when."""

import resource
from pathlib import Path

import pytest
from optuna.trial import TrialState

from eradio.errors import EradioError, MachineError
from eradio.files import write_json
from eradio.locks import try_lock
from eradio.search_space import Architecture, SearchSpace, baselines, named
from eradio.study.config import StudyConfig
from eradio.study.ledger import RECORD, Claim, Ledger, count_death, read_records
from eradio.study.records import TrialRecord
from eradio.study.storage import open_studies, storage_refusals
from tests.analysis import made_up

TWO_NETWORKS = SearchSpace.parse(
    {
        "name": "two",
        "stem": {"width": [8]},
        "width": [16],
        "stages": [{"kind": ["c2f"], "factor": [1], "depth": [1, 2]}],
    },
    "test",
)


def _ledger(folder: Path, trials: int = 3, space: SearchSpace | None = None, rivals: int = 2) -> Ledger:
    config = StudyConfig(trials=trials)
    names = [rival.name for rival in baselines("tiny")][:rivals]
    return Ledger(folder, config, space or SearchSpace.named("tiny"), open_studies(folder, config), names)


def _record(claim: Claim, loss: float = 0.5, **more: object) -> TrialRecord:
    return made_up.trial(claim.trial.number, 1000.0, loss, role=claim.role, name=claim.name, **more)


def _states(ledger_folder: Path, role: int = 0) -> list[TrialState]:
    study = open_studies(ledger_folder, StudyConfig())[role]
    return [trial.state for trial in study.trials]


def _claim(ledger: Ledger) -> Claim:
    claim = ledger.claim()
    assert claim is not None
    return claim


def test_a_study_ends_with_as_many_distinct_candidates_as_asked_and_every_baseline(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=4)
    ledger.enqueue([named("e_radio_mini")])
    seen = []
    while not ledger.finished():
        claim = _claim(ledger)
        seen.append((claim.role, claim.network.digest()))
        ledger.tell(claim, _record(claim))
        claim.release()
    assert [role for role, _ in seen] == ["candidate"] * 4 + ["baseline"] * 2
    assert len({digest for _, digest in seen}) == 6
    assert seen[0][1] == named("e_radio_mini").digest()
    assert ledger.claim() is None


def test_fewer_trials_than_named_networks_is_a_study_that_ends_and_can_be_enlarged(tmp_path: Path) -> None:
    names = [named("e_radio_mini_s"), named("e_radio_mini")]
    for trials in (1, 2):
        ledger = _ledger(tmp_path, trials=trials, rivals=0)
        ledger.enqueue(names)
        claim = _claim(ledger)
        assert claim.network == names[trials - 1]
        ledger.tell(claim, _record(claim))
        claim.release()
        assert ledger.claim() is None
        assert ledger.finished()


def test_two_workers_never_hold_the_same_trial_nor_overshoot(tmp_path: Path) -> None:
    first, second = _ledger(tmp_path, trials=1, rivals=0), _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(first)
    assert second.claim() is None
    assert not second.finished()
    first.tell(claim, _record(claim))
    claim.release()
    assert second.finished()


def test_an_orphan_is_adopted_with_its_network(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    claim = _claim(ledger)
    claim.release()  # what the kernel does when the worker dies
    adopted = _claim(ledger)
    assert adopted.trial.number == claim.trial.number
    assert adopted.network == claim.network
    assert adopted.folder == claim.folder


def test_an_orphan_that_was_killed_while_it_was_being_drawn_is_completed(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    study = open_studies(tmp_path, StudyConfig())[0]
    study.ask().suggest_categorical("neck_branch", ["resample", "shuffle"])
    claim = _claim(ledger)
    assert claim.trial.number == 0
    assert isinstance(claim.network, Architecture)


def test_a_record_that_was_not_told_is_told_and_not_done_again(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    claim = _claim(ledger)
    record = _record(claim, loss=0.25)
    write_json(claim.folder / RECORD, record.model_dump(mode="json"))
    claim.release()
    following = _claim(ledger)
    assert following.trial.number == 1
    told = open_studies(tmp_path, StudyConfig())[0].trials[0]
    assert told.state == TrialState.COMPLETE
    assert told.values == [0.25, 1000.0]


def test_leftovers_of_a_killed_write_are_swept(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    claim = _claim(ledger)
    leftover = claim.folder / ".rung-20.pt.123.tmp"
    leftover.write_bytes(b"half")
    claim.release()
    _claim(ledger)
    assert not leftover.exists()


def test_a_complete_duplicate_takes_the_values_and_does_not_count(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    mini = named("e_radio_mini")
    ledger.enqueue([mini, mini])
    first = _claim(ledger)
    ledger.tell(first, _record(first, loss=0.125))
    first.release()
    third = _claim(ledger)
    assert third.trial.number == 2
    assert third.network.digest() != mini.digest()
    second = open_studies(tmp_path, StudyConfig())[0].trials[1]
    assert second.values == [0.125, 1000.0]
    assert second.user_attrs["duplicate_of"] == 0
    records = read_records(tmp_path, open_studies(tmp_path, StudyConfig()))
    assert [record.duplicate_of for record in records] == [None, 0]


def test_a_duplicate_of_a_running_trial_ends_with_the_reason(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    mini = named("e_radio_mini")
    ledger.enqueue([mini, mini])
    _claim(ledger)
    assert _claim(ledger).trial.number == 2
    second = open_studies(tmp_path, StudyConfig())[0].trials[1]
    assert second.state == TrialState.FAIL
    assert "same network as trial 0" in second.user_attrs["reason"]


def test_a_failed_network_has_its_reason_and_the_study_goes_on(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(ledger)
    ledger.tell(claim, made_up.failed(0, reason="diverged: the loss was nan at step 3"))
    claim.release()
    assert _claim(ledger).trial.number == 1
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING]
    records = read_records(tmp_path, open_studies(tmp_path, StudyConfig()))
    assert records[0].reason == "diverged: the loss was nan at step 3"


def test_a_job_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, rivals=0)
    for _ in range(2):
        claim = _claim(ledger)
        assert claim.trial.number == 0
        count_death(claim.folder)
        claim.release()
    assert _claim(ledger).trial.number == 1
    assert "want of memory" in open_studies(tmp_path, StudyConfig())[0].trials[0].user_attrs["reason"]


def test_a_space_that_is_used_up_is_one_sentence(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=3, space=TWO_NETWORKS, rivals=0)
    for _ in range(2):
        claim = _claim(ledger)
        ledger.tell(claim, _record(claim))
        claim.release()
    with pytest.raises(EradioError, match="fewer than 3 networks"):
        ledger.claim()


def test_a_named_network_outside_the_space_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EradioError, match="not in the space 'tiny'"):
        _ledger(tmp_path).enqueue([named("e_radio_b")])


def test_a_trial_told_just_before_its_lock_is_free_is_not_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = _ledger(tmp_path, trials=1, rivals=0), _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(owner)

    def tell_first(path: Path) -> int | None:
        if path == claim.folder / "lock" and not (claim.folder / RECORD).exists():
            owner.tell(claim, _record(claim))
            claim.release()
        return try_lock(path)

    monkeypatch.setattr("eradio.study.ledger.try_lock", tell_first)
    assert other.claim() is None
    assert other.finished()
    assert _states(tmp_path) == [TrialState.COMPLETE]


def test_a_database_that_cannot_grow_is_one_sentence(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, rivals=0)
    claim = _claim(ledger)
    record = _record(claim, words="a long story " * 100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "study.db"
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, limits[1]))
    try:
        with pytest.raises(MachineError, match=r"study\.db"), storage_refusals(path):
            # Not through its record's file, which is written first and would be refused before the database.
            claim.trial.set_user_attr("words", record.words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    ledger.tell(claim, _record(claim))
    assert _states(tmp_path) == [TrialState.COMPLETE]
