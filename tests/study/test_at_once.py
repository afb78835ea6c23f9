"""Claims of several workers at once: whatever comes first, nothing is done twice, and nothing is held by nobody."""

from functools import partial
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from eradio.errors import StorageDownError
from eradio.search_space import named
from eradio.study.holding import Holding
from eradio.study.ledger import RECORD
from eradio.study.patience import patiently
from eradio.study.recovery import fail, put_in_line
from eradio.study.trials import DIGEST, EndedError, note
from tests.analysis import made_up
from tests.study.test_ledger import LEASE, Clock, _claim, _dying, _ledger, _record, _states, _studies


def test_a_trial_whose_taking_the_storage_interrupted_is_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    ledger.patience = partial(patiently, seconds=60.0, sleep=lambda seconds: None)
    down = [StorageDownError("it restarts")] * 4

    def interrupted(study: Study, trial: FrozenTrial, attributes: dict[str, object]) -> None:
        if DIGEST in attributes and down:
            raise down.pop()
        note(study, trial, attributes)

    monkeypatch.setattr("eradio.study.ledger.note", interrupted)
    claim = _claim(ledger)
    assert (claim.number, claim.attempt) == (0, 5)  # and was not given up for it
    assert ledger.holding.keys() == {claim.key}
    ledger.tell(claim, _record(claim))
    assert ledger.finished()


def test_an_attempt_that_is_put_in_line_again_while_another_worker_draws_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claim(_dying(tmp_path))
    first, second = _ledger(tmp_path, rivals=0), _ledger(tmp_path, rivals=0)
    again = _claim(first)
    assert again.attempt == 2
    ask = Study.ask

    def ask_late(study: Study) -> object:
        monkeypatch.undo()
        put_in_line(study, study.trials[0])  # by a third worker that had looked before the first one did
        return ask(study)

    monkeypatch.setattr(Study, "ask", ask_late)
    assert _claim(second).number != again.number
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING, TrialState.FAIL, TrialState.RUNNING]


def test_a_trial_without_a_place_whose_worker_is_killed_before_it_saw_that_gets_none(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(ledger)
    dead, study = _dying(tmp_path, rivals=0), _studies(tmp_path)["candidate"]
    dead.holding.take(study, study.ask(), 1)
    assert ledger.claim() is None
    assert ledger.claim() is None
    ledger.tell(claim, _record(claim))
    assert [trial.user_attrs.get("end") for trial in study.trials] == ["complete", "lost", "surplus"]
    assert ledger.finished()


def test_a_trial_that_another_worker_ends_while_it_is_told_is_not_ours_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim, tell = _claim(ledger), Study.tell

    def late(study: Study, trial: Trial, values: list[float]) -> None:
        assert fail(study, trial, "lost", "its worker gave no sign of life")
        tell(study, trial, values)

    monkeypatch.setattr(Study, "tell", late)
    with pytest.raises(EndedError):
        ledger.tell(claim, _record(claim))
    monkeypatch.undo()
    assert _ledger(tmp_path, trials=1, rivals=0).claim() is None
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_worker_that_was_paused_for_too_long_leaves_its_successor_s_record_alone(tmp_path: Path) -> None:
    ledger, clock = _ledger(tmp_path, trials=1, rivals=0), Clock()
    ledger.holding = Holding(LEASE, clock)
    claim = _claim(ledger)
    assert fail(claim.study, claim.trial, "lost", "its worker gave no sign of life")
    clock.now += 2 * LEASE
    with pytest.raises(EndedError):
        ledger.tell(claim, made_up.failed(0, reason="out of memory", end="out-of-memory"))
    assert not (claim.folder / RECORD).exists()


@pytest.mark.parametrize("sooner", [0, 1])
def test_of_two_that_write_down_one_network_at_once_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sooner: int
) -> None:
    ledgers, claims = [_ledger(tmp_path, trials=2, rivals=0) for _ in range(2)], {}
    ledgers[0].enqueue([named("e_radio_mini")] * 2)

    def late(study: Study, trial: Trial, attributes: dict[str, object]) -> None:
        if DIGEST in attributes:
            monkeypatch.undo()
            claims[1] = _claim(ledgers[1])
        note(study, trial, attributes)

    monkeypatch.setattr("eradio.study.ledger.note", late)
    claims[0] = _claim(ledgers[0])
    assert [claims[worker].number for worker in (0, 1)] == [0, 1]
    for worker in (sooner, 1 - sooner):
        ledgers[worker].tell(claims[worker], _record(claims[worker]))
    first, second = _studies(tmp_path)["candidate"].trials
    assert first.state == TrialState.COMPLETE
    assert (second.state == TrialState.COMPLETE) == (sooner == 0)
    assert second.user_attrs["duplicate_of"] == 0
    assert not ledgers[0].finished()


def test_of_twins_one_of_which_was_lost_and_yielded_the_other_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    ledger.enqueue([named("e_radio_mini")] * 2)
    claim = _claim(ledger)
    with monkeypatch.context() as patch:
        patch.setattr("eradio.study.ledger.yielded", lambda *arguments: False)  # they were claimed in the same moment
        assert _claim(_dying(tmp_path, trials=2, rivals=0)).number == 1
    other = _claim(_ledger(tmp_path, trials=2, rivals=0))
    assert other.network != claim.network
    ends = [trial.user_attrs.get("end") for trial in _studies(tmp_path)["candidate"].trials]
    assert ends == [None, "lost", "duplicate", None]
    ledger.measured(claim, [made_up.measured(1000.0)])
    ledger.tell(claim, _record(claim))
    assert _states(tmp_path)[0] == TrialState.COMPLETE
