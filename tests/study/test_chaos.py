"""Nothing lost and nothing twice, whatever befalls the workers of a study and its database, at random."""

import os
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from eradio.files import write_json
from eradio.study.lease import Lease, Owner
from tests.services import private_postgres
from tests.slurm_node import missing, private_slurm
from tests.study.chaos import checks
from tests.study.chaos.course import chaos
from tests.study.chaos.written_files import Written, WrittenFiles


@pytest.mark.slow
def test_a_disturbed_study_comes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ERADIO_STORAGE", "")  # which the course sets: so it is taken back
    with ExitStack() as stack:
        server = stack.enter_context(private_postgres())
        slurm = None if missing() else stack.enter_context(private_slurm())
        outcome = chaos(tmp_path, server, seconds=40.0, candidates=18, workers=3, seed=seed, every=2.5, slurm=slurm)
    print((tmp_path / "actions.log").read_text(), *outcome.wrong.items(), sep="\n")
    for log in tmp_path.glob("*/launches/*/*.log"):
        print(log, log.read_text(), sep="\n")
    assert set(outcome.done) >= {"kill worker", "pause", "restart database", "take room"}
    assert slurm is None or "requeue" in outcome.done
    assert not any(outcome.wrong.values())


def _trials(*given: dict[str, object]) -> list[FrozenTrial]:
    study = optuna.create_study(directions=["minimize", "maximize"])
    for one in given:
        study.add_trial(create_trial(params={"n": 1}, distributions={"n": IntDistribution(1, 1)}, **one))
    return study.get_trials()


COMPLETE = {"state": TrialState.COMPLETE, "values": [1.0, 2.0]}
LOST = {"state": TrialState.FAIL, "user_attrs": {"end": "lost"}}


def test_a_check_says_what_is_not_in_order() -> None:
    waiting = _trials(LOST, {"state": TrialState.WAITING, "user_attrs": {"retry_of": 0, "attempt": 2}})
    assert len(list(checks.under_way(waiting))) == 1
    assert len(list(checks.under_way(_trials(LOST)))) == 1

    again = {**COMPLETE, "user_attrs": {"retry_of": 0, "attempt": 2, "digest": "a"}}
    assert not list(checks.chains(_trials(LOST, again), 1))
    first = {**COMPLETE, "user_attrs": {"digest": "a"}}
    assert len(list(checks.chains(_trials(first, again), 1))) == 3  # another attempt, the candidate, the network
    assert len(list(checks.chains(_trials(first, first), 2))) == 1
    assert len(list(checks.chains(_trials(first), 2))) == 1
    assert len(list(checks.chains(_trials(first, LOST), 1))) == 1
    assert not list(checks.twice_in_line(_trials(LOST, again)))
    assert len(list(checks.twice_in_line(_trials(LOST, again, again)))) == 1

    other = {**first, "values": [1.5, 2.0]}
    assert not list(checks.same_results(_trials(LOST, again), _trials(first)))
    assert len(list(checks.same_results(_trials(other), _trials(first)))) == 1


def test_a_rung_taught_again_is_told_from_one_that_a_paused_worker_wrote() -> None:
    def held_by(pid: int, began: float, **more: object) -> dict[str, object]:
        lease = Lease(owner=Owner.this().model_copy(update={"pid": pid}), attempt=1, beat=0).model_dump(mode="json")
        return {**LOST, "user_attrs": {"end": "lost", "lease": lease, **more}, "began": began}

    now = time.time()
    given = [held_by(1, now), held_by(2, now + 10, retry_of=0, attempt=2)]
    trials = _trials(*({key: value for key, value in one.items() if key != "began"} for one in given))
    for trial, one in zip(trials, given, strict=True):
        trial.datetime_start = datetime.fromtimestamp(one["began"])
    before, after = Written("0000", "rung-2.json", 2, now + 20), Written("0000", "rung-2.json", 1, now + 30)
    assert checks.taught_again(trials, [before, after]) == ([], 1)
    early = Written("0000", "rung-2.json", 1, now + 5)
    wrong, late = checks.taught_again(trials, [early, before])
    assert (len(wrong), late) == (1, 0)
    wrong, late = checks.taught_again(trials, [before, Written("0000", "rung-2.json", 2, now + 30)])
    assert (len(wrong), late) == (1, 0)


def test_a_written_file_is_known_with_its_writer(tmp_path: Path) -> None:
    with WrittenFiles([tmp_path]) as written:
        for number in (1, 2):
            write_json(tmp_path / "rung-2.json", number)
    assert [(one.folder, one.name, one.pid) for one in written.found] == [
        (tmp_path.name, "rung-2.json", os.getpid())
    ] * 2
