"""Claims: nothing lost, nothing twice, whatever is killed when."""

import os
import resource
import subprocess
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from eradio.errors import EradioError, MachineError
from eradio.files import temporary_of, write_json
from eradio.search_space import Architecture, SearchSpace, baselines, named
from eradio.study.address import study_address
from eradio.study.config import StudyConfig
from eradio.study.ends import MOST_LOST
from eradio.study.holding import Claim, Kind
from eradio.study.lease import Owner, Watch
from eradio.study.ledger import RECORD, Ledger
from eradio.study.reading import read_records
from eradio.study.records import TrialRecord
from eradio.study.refusals import storage_refusals
from eradio.study.storage import objectives, open_studies
from eradio.study.trials import EndedError
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


LEASE = 120.0


class Clock:
    """Of an observer; moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _studies(folder: Path) -> dict[Kind, Study]:
    config = StudyConfig()
    return open_studies(study_address(folder, None), config.name, objectives(config.targets))


def _ledger(
    folder: Path,
    trials: int = 3,
    space: SearchSpace | None = None,
    rivals: int = 2,
    watch: Watch | None = None,
    **more: object,
) -> Ledger:
    config = StudyConfig.parse({"trials": trials, "lease": LEASE, **more}, "test")
    names = [rival.name for rival in baselines("tiny")][:rivals]
    return Ledger(folder, config, space or SearchSpace.named("tiny"), _studies(folder), names, watch=watch)


def _dying(folder: Path, **options: object) -> Ledger:
    """The ledger of a worker whose process has ended, though nobody has told."""
    ledger = _ledger(folder, **options)
    ledger.holding.owner = Owner.this().model_copy(update={"born": 1})
    return ledger


def _record(claim: Claim, loss: float = 0.5, **more: object) -> TrialRecord:
    role = "baseline" if claim.kind == "baseline" else "candidate"
    digest = claim.network.digest()
    return made_up.trial(claim.number, 1000.0, loss, role=role, name=claim.name, network_digest=digest, **more)


def _states(folder: Path, kind: Kind = "candidate") -> list[TrialState]:
    return [trial.state for trial in _studies(folder)[kind].trials]


def _claim(ledger: Ledger) -> Claim:
    claim = ledger.claim()
    assert claim is not None
    return claim


def _complete(ledger: Ledger, loss: float = 0.5) -> Claim:
    claim = _claim(ledger)
    ledger.tell(claim, _record(claim, loss))
    return claim


def test_a_study_ends_with_as_many_distinct_candidates_as_asked_and_every_baseline(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=4)
    ledger.enqueue([named("e_radio_mini")])
    seen = []
    while not ledger.finished():
        claim = _complete(ledger)
        seen.append((claim.kind, claim.network.digest()))
    assert [kind for kind, _ in seen] == ["candidate"] * 4 + ["baseline"] * 2
    assert len({digest for _, digest in seen}) == 6
    assert seen[0][1] == named("e_radio_mini").digest()
    assert ledger.claim() is None


def test_fewer_trials_than_named_networks_is_a_study_that_ends_and_can_be_enlarged(tmp_path: Path) -> None:
    names = [named("e_radio_mini_s"), named("e_radio_mini")]
    for trials in (1, 2):
        ledger = _ledger(tmp_path, trials=trials, rivals=0)
        ledger.enqueue(names)
        assert _complete(ledger).network == names[trials - 1]
        assert ledger.claim() is None
        assert ledger.finished()


def test_two_workers_never_hold_the_same_trial_nor_overshoot(tmp_path: Path) -> None:
    first, second = _ledger(tmp_path, trials=1, rivals=0), _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(first)
    assert second.claim() is None
    assert not second.finished()
    first.tell(claim, _record(claim))
    assert second.finished()


def test_of_two_that_draw_for_the_last_place_the_earlier_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _ledger(tmp_path, trials=1, rivals=0), _ledger(tmp_path, trials=1, rivals=0)
    ask, earlier = Study.ask, []

    def ask_second(study: Study) -> object:
        if not earlier:
            earlier.append(None)  # the other looks for a place, finds it, and draws, all just before
            earlier[0] = first.claim()
        return ask(study)

    monkeypatch.setattr(Study, "ask", ask_second)
    assert second.claim() is None
    assert earlier[0].trial.number == 0
    assert [trial.user_attrs.get("end") for trial in _studies(tmp_path)["candidate"].trials] == [None, "surplus"]
    assert read_records(tmp_path, _studies(tmp_path)) == []


def test_the_next_attempt_at_a_dead_worker_s_trial_has_its_network_and_its_folder(tmp_path: Path) -> None:
    claim = _claim(_dying(tmp_path))
    again = _claim(_ledger(tmp_path))
    assert (again.number, again.attempt, again.trial.number) == (claim.number, 2, 1)
    assert again.network == claim.network
    assert again.folder == claim.folder
    lost = _studies(tmp_path)["candidate"].trials[0]
    assert lost.state == TrialState.FAIL
    assert lost.user_attrs["end"] == "lost"


def test_a_trial_on_another_machine_is_lost_once_its_beats_have_stopped_for_a_lease(tmp_path: Path) -> None:
    far, clock = _ledger(tmp_path, rivals=0), Clock()
    far.holding.owner = Owner.this().model_copy(update={"boot": "another machine"})
    claim = _claim(far)
    near = _ledger(tmp_path, trials=1, rivals=0, watch=Watch(LEASE, clock))
    for _ in range(6):
        clock.now += LEASE / 3
        far.holding.beat()
        assert near.claim() is None
    for _ in range(3):
        assert near.claim() is None
        clock.now += LEASE / 3
    assert _claim(near).network == claim.network


def test_time_in_which_nobody_could_look_counts_against_nobody(tmp_path: Path) -> None:
    far, clock = _ledger(tmp_path, rivals=0), Clock()
    far.holding.owner = Owner.this().model_copy(update={"boot": "another machine"})
    _claim(far)
    near = _ledger(tmp_path, trials=1, rivals=0, watch=Watch(LEASE, clock))
    assert near.claim() is None
    clock.now += 100 * LEASE  # a database's restart, or this worker's own pause
    assert near.claim() is None


def test_a_worker_that_was_paused_beyond_its_lease_steps_back(tmp_path: Path) -> None:
    clock, own = Clock(), Clock()
    paused = _ledger(tmp_path, trials=1, rivals=0)
    paused.holding._clock = own
    paused.holding.owner = Owner.this().model_copy(update={"boot": "another machine"})
    claim = _claim(paused)
    other = _ledger(tmp_path, trials=1, rivals=0, watch=Watch(LEASE, clock))
    for _ in range(4):
        other.claim()
        clock.now += LEASE / 2
        own.now += LEASE / 2
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING]
    with pytest.raises(EndedError):
        paused.holding.check(claim.key)
    with pytest.raises(EndedError):
        paused.tell(claim, _record(claim))
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING]


def test_a_trial_that_was_killed_while_it_was_being_drawn_is_completed(tmp_path: Path) -> None:
    clock = Clock()
    ledger = _ledger(tmp_path, trials=1, rivals=0, watch=Watch(LEASE, clock))
    _studies(tmp_path)["candidate"].ask().suggest_categorical("neck_branch", ["resample", "shuffle"])
    for _ in range(3):
        assert ledger.claim() is None
        clock.now += LEASE / 3
    claim = _claim(ledger)
    assert (claim.number, claim.attempt) == (0, 2)
    assert isinstance(claim.network, Architecture)


def test_a_record_that_was_not_told_is_told_and_not_done_again(tmp_path: Path) -> None:
    claim = _claim(_dying(tmp_path))
    write_json(claim.folder / RECORD, _record(claim, loss=0.25).model_dump(mode="json"))
    following = _claim(_ledger(tmp_path))
    assert following.number == 2
    told = _studies(tmp_path)["candidate"].trials[1]
    assert told.user_attrs["retry_of"] == 0
    assert told.state == TrialState.COMPLETE
    assert told.values == [0.25, 1000.0]
    assert told.params  # samplers learn from it
    assert [record.number for record in read_records(tmp_path, _studies(tmp_path))] == [0]


def test_an_attempt_that_two_workers_put_in_line_is_made_once(tmp_path: Path) -> None:
    claim = _claim(_dying(tmp_path))
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    ledger.recover()
    study = _studies(tmp_path)["candidate"]
    first = study.trials[1]
    study.enqueue_trial(first.system_attrs["fixed_params"], user_attrs=first.user_attrs)
    again = _claim(ledger)
    assert again.network == claim.network
    assert ledger.claim() is None
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING, TrialState.FAIL]
    ledger.tell(again, _record(again))
    assert ledger.finished()


def test_a_trial_that_is_handed_back_goes_on_elsewhere_as_often_as_it_takes(tmp_path: Path) -> None:
    networks = set()
    for attempt in range(1, 6):
        ledger = _ledger(tmp_path, trials=1, rivals=0)
        claim = _claim(ledger)
        assert claim.attempt == attempt
        networks.add(claim.network.digest())
        ledger.hand_back(claim, "its worker was asked to stop")
    assert len(networks) == 1
    ends = [trial.user_attrs.get("end") for trial in _studies(tmp_path)["candidate"].trials]
    assert ends == ["pre-empted"] * 5 + [None]


def test_what_is_known_of_a_network_and_was_decided_stands_for_its_next_attempt(tmp_path: Path) -> None:
    halving = {"halving": {"rungs": [30], "reduction": 3}}
    ledger = _ledger(tmp_path, trials=9, rivals=0, **halving)
    claim = _claim(ledger)
    ledger.measured(claim, [made_up.measured(1000.0)])
    ledger.score(claim, 30, 2.0)
    first = ledger.reached(claim, 30)
    assert first.goes_on
    # Were it judged anew, it would be the last of seven.
    study = _studies(tmp_path)["candidate"]
    for _ in range(6):
        other = study.ask({})
        other.set_user_attr("loss_at_30", 1.0)
        other.set_user_attr("images_per_second", 2000.0)
        study.tell(other, [1.0, 2000.0])
    ledger.hand_back(claim, "its worker was asked to stop")
    again = _claim(ledger)
    ledger.score(again, 30, 2.0)
    assert ledger.reached(again, 30) == first


def test_a_halted_candidate_is_complete_and_off_the_front(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0, halving={"rungs": [30, 60], "reduction": 3})
    _complete(ledger, 0.9)
    claim = _claim(ledger)
    ledger.measured(claim, [made_up.measured(1000.0)])
    score = made_up.scored(0.5, steps=30)
    ledger.tell(claim, _record(claim).model_copy(update={"state": "halted", "end": "halted", "score": score}))
    study = _studies(tmp_path)["candidate"]
    assert [trial.number for trial in study.best_trials] == [0]
    halted = study.trials[1]
    assert (halted.state, halted.values[0]) == (TrialState.COMPLETE, 0.5)
    assert halted.constraints["halted"] == 2
    assert halted.user_attrs["constraint_halted"] == 2
    assert ledger.finished()


def test_leftovers_of_a_killed_write_are_swept(tmp_path: Path) -> None:
    claim = _claim(_dying(tmp_path))
    killed = subprocess.Popen(["true"])
    killed.wait()
    leftover = temporary_of(claim.folder / "rung-20.pt", killed.pid)
    elsewhere = claim.folder / f".rung-20.pt.{killed.pid}@another-host-1.tmp"
    old = claim.folder / f".rung-20.pt.{killed.pid}@a-host-of-old-1.tmp"
    for path in (leftover, elsewhere, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    _claim(_ledger(tmp_path))
    assert not leftover.exists()
    assert not old.exists()
    assert elsewhere.exists()  # it may be written at this moment, by a process that is not seen from here


def test_a_complete_duplicate_takes_the_values_and_does_not_count(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    mini = named("e_radio_mini")
    ledger.enqueue([mini, mini])
    _complete(ledger, loss=0.125)
    third = _claim(ledger)
    assert third.trial.number == 2
    assert third.network.digest() != mini.digest()
    second = _studies(tmp_path)["candidate"].trials[1]
    assert second.values == [0.125, 1000.0]
    assert second.user_attrs["duplicate_of"] == 0
    records = read_records(tmp_path, _studies(tmp_path))
    assert [record.duplicate_of for record in records] == [None, 0]


def test_a_duplicate_of_a_running_trial_ends_with_the_reason(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    mini = named("e_radio_mini")
    ledger.enqueue([mini, mini])
    _claim(ledger)
    assert _claim(ledger).trial.number == 2
    second = _studies(tmp_path)["candidate"].trials[1]
    assert second.state == TrialState.FAIL
    assert "same network as trial 0" in second.user_attrs["reason"]


def test_twins_that_were_drawn_at_the_same_time_are_found_once_both_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _ledger(tmp_path, trials=2, rivals=0), _ledger(tmp_path, trials=2, rivals=0)
    mini = named("e_radio_mini")
    first.enqueue([mini, mini])
    claim = _claim(first)
    with monkeypatch.context() as patch:
        patch.setattr(
            "eradio.study.ledger.yielded", lambda *arguments: False
        )  # the other has not written its network yet
        twin = _claim(second)
    first.measured(claim, [made_up.measured(1000.0)])
    with pytest.raises(EndedError):
        second.measured(twin, [made_up.measured(1000.0)])
    assert _states(tmp_path) == [TrialState.RUNNING, TrialState.FAIL]


def test_a_failed_network_has_its_reason_and_the_study_goes_on(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(ledger)
    ledger.tell(claim, made_up.failed(0, reason="diverged: the loss was nan at step 3", end="diverged"))
    assert _claim(ledger).trial.number == 1
    assert _states(tmp_path) == [TrialState.FAIL, TrialState.RUNNING]
    records = read_records(tmp_path, _studies(tmp_path))
    assert (records[0].end, records[0].reason) == ("diverged", "diverged: the loss was nan at step 3")


def test_a_candidate_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    numbers = [_claim(_dying(tmp_path, rivals=0)).number for _ in range(MOST_LOST)]
    assert numbers == [0] * MOST_LOST
    following = _claim(_ledger(tmp_path, rivals=0))
    assert following.number == MOST_LOST
    records = read_records(tmp_path, _studies(tmp_path))
    assert [(record.number, record.end, record.attempt) for record in records] == [(0, "lost", MOST_LOST)]


def test_a_candidate_that_gets_further_before_each_loss_is_gone_on_with(tmp_path: Path) -> None:
    # The longer rung begins where the shorter one began to decay, so at fewer steps.
    further = [(100, 20), (100, 40), (100, 60), (100, 80), (200, 70), (200, 90), (200, 110)]
    places = [*further, *further[-1:] * (MOST_LOST - 1)]
    for rung, step in places:
        ledger = _dying(tmp_path, rivals=0)
        claim = _claim(ledger)
        assert claim.number == 0
        ledger.holding.progress(claim.key, step, rung)
        ledger.holding.progress(claim.key, step + 1, rung)
    assert _claim(_ledger(tmp_path, rivals=0)).number == len(places)


def test_a_member_that_ran_out_of_memory_among_others_is_tried_alone(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(ledger)
    ledger.note(claim, {"cohort": 8})
    ledger.tell(claim, made_up.failed(0, reason="out of memory", end="out-of-memory"))
    again = _claim(ledger)
    assert (again.number, again.alone) == (0, True)
    ledger.tell(again, made_up.failed(0, reason="out of memory", end="out-of-memory"))
    assert _claim(ledger).number == 2


def test_what_lacked_memory_perhaps_for_others_rests_before_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    claim = _claim(ledger)
    ledger.note(claim, {"crowded": True})
    ledger.tell(claim, made_up.failed(0, reason="out of memory", end="out-of-memory"))
    other = _claim(ledger)
    assert other.number == 1
    ledger.tell(other, _record(other))
    assert ledger.claim() is None
    assert not ledger.finished()
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    again = _claim(ledger)
    assert (again.number, again.attempt) == (0, 2)


def test_device_hours_end_a_study_before_its_trials(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=9, rivals=0, budget={"device_hours": 1.0})
    claim = _claim(ledger)
    ledger.note(claim, {"seconds": 3600.0})
    ledger.tell(claim, _record(claim))
    assert ledger.claim() is None
    assert ledger.finished()


def test_what_a_killed_worker_s_trial_has_cost_was_told_with_its_beats(tmp_path: Path) -> None:
    ledger = _dying(tmp_path, rivals=0, budget={"device_hours": 1.0})
    claim = _claim(ledger)
    ledger.holding.cost(claim.key, 1800.0)
    ledger.holding.beat()
    again = _claim(_ledger(tmp_path, rivals=0))
    assert (again.number, ledger.earlier_seconds(again)) == (claim.number, 1800.0)
    ledger.note(again, {"seconds": 1800.0})
    assert ledger.out_of_time()


def test_parameters_that_are_not_of_the_space_end_their_trial_alone(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    name = next(iter(SearchSpace.named("tiny").encode(named("e_radio_mini"))))
    _studies(tmp_path)["candidate"].enqueue_trial({name: "bogus"})
    assert _claim(ledger).trial.number == 1
    (record,) = read_records(tmp_path, _studies(tmp_path))
    assert (record.end, "bogus" in record.reason) == ("infeasible", True)


def test_a_record_that_a_broken_disk_spoiled_is_set_aside_and_its_network_taught_again(tmp_path: Path) -> None:
    claim = _claim(_dying(tmp_path, rivals=0))
    (claim.folder / "record.json").write_text("{")
    again = _claim(_ledger(tmp_path, rivals=0))
    assert (again.number, again.attempt) == (claim.number, 2)
    assert [path.name for path in claim.folder.glob("*.unreadable")] == ["record.json.unreadable"]


def test_a_spoiled_record_of_one_that_was_told_hides_no_other(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=2, rivals=0)
    for _ in range(2):
        _complete(ledger)
    (tmp_path / "candidates" / "0000" / "record.json").write_text("{")
    first, second = read_records(tmp_path, _studies(tmp_path))
    assert (first.end, first.score) == ("complete", None)
    assert second.score is not None


def test_what_was_told_counts_though_another_had_called_its_worker_lost(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0)
    claim = _claim(ledger)
    write_json(claim.folder / "record.json", _record(claim).model_dump(mode="json"))
    ledger.note(claim, {"end": "lost"})
    claim.study.tell(claim.trial, [0.5, 1000.0])
    (record,) = read_records(tmp_path, _studies(tmp_path))
    assert record.score is not None


def test_no_baseline_and_no_finalist_is_begun_when_the_time_is_used(tmp_path: Path) -> None:
    budget = {"device_hours": 1.0}
    ledger = _ledger(tmp_path, trials=1, rivals=2, finalist_steps=400, budget=budget)
    ledger.enqueue([])
    _complete(ledger)
    rival = _claim(ledger)
    assert rival.kind == "baseline"
    ledger.note(rival, {"seconds": 3600.0})
    assert ledger.claim() is None  # the second one waits
    assert not ledger.finished()  # and the first one is taught to its end
    ledger.tell(rival, _record(rival))
    assert ledger.finished()
    jobs = ["candidate-0000"]
    assert ledger.claim_finalist(jobs) is None
    assert ledger.finalists_finished(jobs)

    larger = _ledger(tmp_path, trials=1, rivals=2, finalist_steps=400, budget={"device_hours": 2.0})
    assert not larger.finished()
    assert not larger.finalists_finished(jobs)
    assert _claim(larger).kind == "baseline"
    finalist = larger.claim_finalist(jobs)
    assert finalist is not None
    larger.note(finalist, {"seconds": 3600.0})
    assert larger.out_of_time()
    assert not larger.finalists_finished(jobs)


def test_a_hypervolume_that_is_reached_ends_a_study_before_its_trials(tmp_path: Path) -> None:
    goal = {"hypervolume": 400.0, "loss": 1.0}
    ledger = _ledger(tmp_path, trials=9, rivals=0, budget={"goal": goal})
    _complete(ledger, 0.7)
    assert not ledger.finished()
    _complete(ledger, 0.5)  # 0.5 of loss times 1000 images/s
    assert ledger.finished()


def test_finalists_are_claimed_once_each_and_anew_for_a_longer_training(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=1, rivals=0, finalist_steps=400)
    claim = _claim(ledger)
    record = _record(claim).model_copy(update={"network": claim.network.model_dump(mode="json")})
    ledger.tell(claim, record)
    jobs = ["candidate-0000"]
    assert not ledger.finalists_finished(jobs)
    finalist = ledger.claim_finalist(jobs)
    assert finalist is not None
    assert finalist.network == claim.network
    assert finalist.folder == tmp_path / "finalists" / "candidate-0000"
    assert _ledger(tmp_path, trials=1, rivals=0).claim_finalist(jobs) is None
    ledger.tell(finalist, made_up.finalist(record, steps=400))
    assert ledger.finalists_finished(jobs)
    longer = _ledger(tmp_path, trials=1, rivals=0, finalist_steps=800)
    assert not longer.finalists_finished(jobs)
    assert longer.claim_finalist(jobs) is not None


def test_a_space_that_is_used_up_is_one_sentence(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=3, space=TWO_NETWORKS, rivals=0)
    for _ in range(2):
        _complete(ledger)
    with pytest.raises(EradioError, match="fewer than 3 networks"):
        ledger.claim()


def test_a_space_that_is_used_up_ends_a_study_only_after_what_is_there(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, trials=3, space=TWO_NETWORKS, rivals=0)
    held = [_claim(ledger), _claim(ledger)]
    assert ledger.claim() is None
    for claim in held:
        ledger.tell(claim, _record(claim))
    with pytest.raises(EradioError, match="fewer than 3 networks"):
        ledger.claim()


def test_a_record_whose_last_attempt_was_lost_counts_for_nothing(tmp_path: Path) -> None:
    for _ in range(MOST_LOST):
        claim = _claim(_dying(tmp_path, trials=1, rivals=0))
    write_json(claim.folder / RECORD, _record(claim, loss=0.25).model_dump(mode="json"))
    other = _complete(_ledger(tmp_path, trials=1, rivals=0))
    records = read_records(tmp_path, _studies(tmp_path))
    assert [(record.number, record.end) for record in records] == [(0, "lost"), (other.number, "complete")]
    assert [trial.number for trial in _studies(tmp_path)["candidate"].best_trials] == [other.number]


def test_a_named_network_outside_the_space_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EradioError, match="not in the space 'tiny'"):
        _ledger(tmp_path).enqueue([named("e_radio_b")])


def test_a_database_that_cannot_grow_is_one_sentence(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, rivals=0)
    claim = _claim(ledger)
    record = _record(claim, words="a long story " * 100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "study.db"
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, limits[1]))
    try:
        with pytest.raises(MachineError, match=r"study\.db"), storage_refusals(study_address(tmp_path, None)):
            # Not through its record's file, which is written first and would be refused before the database.
            claim.trial.set_user_attr("words", record.words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    ledger.tell(claim, _record(claim))
    assert _states(tmp_path) == [TrialState.COMPLETE]
