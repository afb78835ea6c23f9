"""What a worker does with the trials it holds, on real networks and pictures in miniature."""

import errno
import json
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from rich.console import Console
from torch import nn

from eradio.cli import run_command
from eradio.distill.stopping import StoppedError, stopping
from eradio.distill.targets import LiveTargets
from eradio.distill.trainer import Trainer
from eradio.errors import BuildError, EradioError, MachineError, NetworkError, PassingError
from eradio.files import disk_error
from eradio.profile import Target
from eradio.profile.canary import Canary
from eradio.profile.engines.base import Job, Prepared
from eradio.profile.engines.eager import Eager
from eradio.profile.memory import Footprint
from eradio.study import memory
from eradio.study.config import StudyConfig
from eradio.study.desk import Desk
from eradio.study.display import Snapshot, Workload
from eradio.study.ends import MOST_LOST
from eradio.study.finalists import chosen_in
from eradio.study.holding import Claim
from eradio.study.preparing import prepare
from eradio.study.reading import read_finalists, read_records
from eradio.study.records import TrialRecord
from eradio.study.recovery import fail
from eradio.study.run import Run, open_run

PLAIN = {
    "finalists": 0,
    "baselines": "none",
    "trials": 4,
    "recipe": {"steps": 4, "partitions": [{"batch": 4}], "validation": 4, "targets": "shared"},
    "target": {
        "engine": "eager",
        "batch": 1,
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.04, "block_seconds": 0.002, "half_width": 0.9},
    },
}


def _run(folder: Path, **more: object) -> Run:
    run = open_run(folder, StudyConfig.parse({**PLAIN, **more}, "test"))
    prepare(run, Console(quiet=True))
    return open_run(folder)


def _desk(run: Run, size: int = 1, stop: object = lambda: False) -> Desk:
    return Desk(run, run.config.rungs, size, stop, lambda *_: None)


def _to_the_end(run: Run, size: int = 1) -> None:
    desk = _desk(run, size)
    while desk or not run.ledger.finished():
        assert desk.turn(run.ledger.claim, more=True) or run.ledger.finished()


def _scores(run: Run) -> dict[str, list[tuple[int, float]]]:
    records = read_records(run.folder, run.studies)
    return {one.network_digest: [(score.steps, score.loss) for score in one.rungs] for one in records if one.score}


HALVING = {"halving": {"rungs": [2], "reduction": 2}}


def _raise(error: Exception) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


def _refuse_once(patch: pytest.MonkeyPatch, place: str, error: Exception) -> None:
    owner, _, name = place.rpartition(".")
    kept, left = getattr(resolve_name(owner), name), [error]

    def refuse(*given: object, **named: object) -> object:
        if left:
            raise left.pop()
        return kept(*given, **named)

    patch.setattr(place, refuse)


def test_halted_candidates_keep_their_rung_s_score_and_leave_the_front(tmp_path: Path) -> None:
    run = _run(tmp_path, **HALVING)
    _to_the_end(run)
    records = [one for one in read_records(tmp_path, run.studies) if one.duplicate_of is None]
    halted = [one for one in records if one.state == "halted"]
    assert len(records) == 4
    assert 1 <= len(halted) <= 3
    for one in halted:
        assert (one.end, one.score.steps, one.decisions[0].goes_on) == ("halted", 2, False)
        assert "of" in one.reason
        assert not list((tmp_path / "candidates" / f"{one.number:04d}").glob("*.pt"))
    study = run.studies["candidate"]
    front = {trial.number for trial in study.best_trials}
    assert front
    assert not front & {one.number for one in halted}


def test_a_cohort_gives_each_member_what_it_has_when_taught_alone(tmp_path: Path) -> None:
    names = ["e_radio_mini", "e_radio_mini_s"]
    alone = _run(tmp_path / "alone", named=names, trials=2)
    _to_the_end(alone)
    together = _run(tmp_path / "together", named=names, trials=2)
    _to_the_end(together, size=2)
    assert _scores(alone) == _scores(together)
    assert len(_scores(alone)) == 2
    assert {trial.user_attrs.get("cohort") for trial in together.studies["candidate"].trials} == {2}


def test_a_stopped_worker_hands_back_what_another_goes_on_with_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole = _run(tmp_path / "whole", named=["e_radio_mini_s"], trials=1)
    _to_the_end(whole)
    stopped = _run(tmp_path / "stopped", named=["e_radio_mini_s"], trials=1)
    steps = iter([False, False, True])
    desk = _desk(stopped, stop=lambda: next(steps))
    with pytest.raises(StoppedError):
        desk.turn(stopped.ledger.claim, more=True)
    desk.hand_back("its worker was asked to stop")
    assert list((tmp_path / "stopped").glob("candidates/0000/rung-4.pt"))
    again = open_run(tmp_path / "stopped")
    _to_the_end(again)
    assert _scores(again) == _scores(whole)
    trials = again.studies["candidate"].trials
    assert [trial.user_attrs["end"] for trial in trials] == ["pre-empted", "complete"]
    (record,) = read_records(again.folder, again.studies)
    assert (record.number, record.attempt) == (0, 2)


def test_a_candidate_that_breaks_a_constraint_is_not_taught(tmp_path: Path) -> None:
    run = _run(tmp_path, trials=1, constraints={"throughput": 1e9})
    _to_the_end(run)
    (record,) = read_records(tmp_path, run.studies)
    assert (record.state, record.end, record.score.steps) == ("halted", "infeasible", 0)
    assert "throughput" in record.reason
    (trial,) = run.studies["candidate"].trials
    assert trial.state == TrialState.COMPLETE
    assert 0 < trial.constraints["throughput"] <= 1
    assert run.studies["candidate"].best_trials == []


def test_a_network_s_own_failure_ends_its_trial_and_a_full_disk_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, trials=4)

    monkeypatch.setattr("eradio.study.objective.keep", lambda measurement: None)  # or the next one need not measure
    ends = {
        "build-failed": ("eradio.study.objective.measure", TypeError("an odd network")),
        "infeasible": ("eradio.study.objective.Trainer", NetworkError("it takes other pictures")),
        "out-of-memory": ("eradio.study.objective.Trainer", RuntimeError("DefaultCPUAllocator: can't allocate memory")),
    }
    for place, error in ends.values():
        with monkeypatch.context() as patch:
            _refuse_once(patch, place, error)
            _desk(run).turn(run.ledger.claim, more=True)
    records = read_records(tmp_path, run.studies)
    failed = [record for record in records if record.state == "failed" and record.duplicate_of is None]
    assert [record.end for record in failed] == list(ends)
    assert records[0].reason == "TypeError: an odd network"
    full = disk_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    _refuse_once(monkeypatch, "eradio.study.objective.measure", full)
    with pytest.raises(MachineError, match="No room left"):
        _desk(run).turn(run.ledger.claim, more=True)


def test_workers_say_that_they_teach_a_finalist_as_the_display_expects_it(tmp_path: Path) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, finalists=1, finalist_steps=6)
    _to_the_end(run)
    said: list[dict[str, object]] = []

    def show(job: str, folder: Path | None, step: int, steps: int, together: int = 1) -> None:
        said.append({"job": job, "folder": str(folder), "step": step, "steps": steps, "together": together})

    chosen = chosen_in(run)
    desk = Desk(run, (run.config.finalist_steps,), 1, lambda: False, show)
    desk.turn(lambda: run.ledger.claim_finalist(chosen), more=True)
    records = tuple(read_records(tmp_path, run.studies))
    work = Workload(networks=1, rivals=0, rungs=(4,), reduction=1, finalists=1, finalist_steps=6)
    assert [one["step"] for one in said] == [0, 4, 5, 6]
    assert [Snapshot(records, (), (one,)).steps_done(work) for one in said] == [4, 4, 5, 6]


def _refusing(monkeypatch: pytest.MonkeyPatch, error: Exception, canary_too: bool = False, times: int = 1) -> None:
    """Have the engine refuse the next so many networks, or all it is given."""
    prepare, left = Eager.prepare, [error] * times

    def refuse(self: Eager, module: nn.Module, job: Job) -> Prepared:
        if canary_too or (left and not isinstance(module, Canary)):
            raise error if canary_too else left.pop()
        return prepare(self, module, job)

    monkeypatch.setattr(Eager, "prepare", refuse)


@pytest.mark.parametrize(
    ("error", "end", "words"),
    [
        (RuntimeError("no such kernel"), "build-failed", "cannot be measured with eager: RuntimeError: no such kernel"),
        (EradioError("It is not for this engine."), "build-failed", "It is not for this engine."),
    ],
)
def test_a_network_that_the_engine_refuses_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, end: str, words: str
) -> None:
    run = _run(tmp_path, trials=1)
    with monkeypatch.context() as patch:
        _refusing(patch, error)
        _desk(run).turn(run.ledger.claim, more=True)
    record = read_records(tmp_path, run.studies)[0]
    assert (record.state, record.end) == ("failed", end)
    assert words in record.reason
    _to_the_end(run)
    assert [one.end for one in read_records(tmp_path, run.studies)] == [end, "complete"]


@pytest.mark.parametrize("times", [1, MOST_LOST])
def test_a_network_that_lacks_memory_while_it_is_measured_is_tried_again_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    _refusing(monkeypatch, RuntimeError("DefaultCPUAllocator: can't allocate memory"), times=times)
    _to_the_end(run)
    assert [trial.user_attrs["end"] for trial in run.candidates()] == ["out-of-memory"] * times + ["complete"]
    first = read_records(tmp_path, run.studies)[0]
    assert (first.end, first.attempt) == (("complete", 2) if times == 1 else ("out-of-memory", MOST_LOST))


def test_an_engine_that_refuses_the_reference_network_too_is_held_against_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, trials=1)
    _refusing(monkeypatch, RuntimeError("no driver"), canary_too=True)
    with pytest.raises(EradioError, match=r"Nor does 'eager' run the reference network here: .* Mend the engine first"):
        _desk(run).turn(run.ledger.claim, more=True)
    assert read_records(tmp_path, run.studies) == []


def test_a_network_that_leaves_no_memory_for_the_reference_network_is_tried_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, open_ones = Eager.prepare, [0]

    def refuse(self: Eager, module: nn.Module, job: Job) -> Prepared:
        if isinstance(module, Canary):
            assert open_ones == [0]  # else it might be what was prepared that leaves none
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        prepared = prepare(self, module, job)
        close = prepared.close

        def closed() -> None:
            open_ones[0] -= 1
            close()

        open_ones[0] += 1
        monkeypatch.setattr(prepared, "close", closed)
        return prepared

    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Eager, "prepare", refuse)
        patch.setattr("eradio.profile.ready.agreement", _raise(BuildError("It computes something else.")))
        for _ in range(MOST_LOST):
            with pytest.raises(PassingError, match="There is no memory for the reference network"):
                _desk(run).turn(run.ledger.claim, more=True)
    _to_the_end(run)
    ends = [trial.user_attrs["end"] for trial in run.candidates()]
    assert ends == ["out-of-memory"] * MOST_LOST + ["complete"]


def test_a_worker_that_finds_no_memory_again_and_again_waits_before_it_takes_the_next_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, slept = _run(tmp_path, trials=4), list[float]()
    with monkeypatch.context() as patch:
        _refusing(patch, RuntimeError("DefaultCPUAllocator: can't allocate memory"), times=3)
        # The desk's own clock alone: who waits for the device sleeps too.
        patch.setattr("eradio.study.desk.time", SimpleNamespace(sleep=slept.append))
        _desk(run).turn(run.ledger.claim, more=True)
    assert slept == [60.0, 120.0]
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    _to_the_end(run)
    ends = [trial.user_attrs["end"] for trial in run.candidates()]
    assert (ends.count("out-of-memory"), ends.count("complete")) == (3, 4)


def test_a_stop_that_a_library_keeps_to_itself_is_heard_before_the_reference_network_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Eager.prepare

    def refuse(self: Eager, module: nn.Module, job: Job) -> Prepared:
        assert not isinstance(module, Canary), "the engine was tried although a stop had come"
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise RuntimeError("an engine made this of what a call back raised") from None
        return prepare(self, module, job)

    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    monkeypatch.setattr(Eager, "prepare", refuse)
    with stopping() as stop, stop.noting():
        desk = Desk(run, run.config.rungs, 1, lambda: stop() > 0, lambda *_: None, stop.ending)
        with pytest.raises(StoppedError):
            desk.turn(run.ledger.claim, more=True)


def test_a_network_that_spoils_the_gpu_ends_and_its_worker_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")

    run = _run(tmp_path, trials=1)
    _refusing(monkeypatch, RuntimeError("CUDA error"), canary_too=True)
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", spoilt)
    with pytest.raises(PassingError, match=r"cannot use its GPU any more \(CUDA error: an illegal memory access"):
        _desk(run).turn(run.ledger.claim, more=True)
    assert [one.end for one in read_records(tmp_path, run.studies)] == ["build-failed"]


def test_a_constraint_on_memory_is_judged_by_a_process_that_runs_the_network(tmp_path: Path) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, constraints={"memory_mb": 0.001})
    _to_the_end(run)
    (record,) = read_records(tmp_path, run.studies)
    assert (record.end, record.score.steps) == ("infeasible", 0)
    assert "memory" in record.reason
    assert record.peak_bytes > 100_000  # its weights alone
    (trial,) = run.studies["candidate"].trials
    assert trial.constraints["memory"] == pytest.approx(record.peak_bytes / 1000 - 1)


def test_files_that_a_broken_disk_spoiled_are_set_aside_and_their_work_is_done_again(tmp_path: Path) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    desk = _desk(run, stop=iter([False, True]).__next__)
    with pytest.raises(StoppedError):
        desk.turn(run.ledger.claim, more=True)
    desk.hand_back("its worker was asked to stop")
    folder = tmp_path / "candidates" / "0000"
    for name in ("rung-4.pt", "measurement.json"):
        (folder / name).write_bytes((folder / name).read_bytes()[:40])
    _to_the_end(run)
    assert [trial.user_attrs["end"] for trial in run.candidates()] == ["pre-empted", "complete"]
    assert {path.name for path in folder.glob("*.unreadable")} == {
        "rung-4.pt.unreadable",
        "measurement.json.unreadable",
    }


def test_what_did_not_come_to_its_end_has_cost_its_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def slow(self: Trainer, *given: object) -> float:
        time.sleep(0.5)
        return step(self, *given)

    def diverging(self: Trainer, *given: object) -> float:
        time.sleep(0.5)
        return float("nan")

    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    desk = _desk(run, stop=iter([False, False, True]).__next__)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", slow)
        with pytest.raises(StoppedError):
            desk.turn(run.ledger.claim, more=True)
    desk.hand_back("its worker was asked to stop")
    stopped = run.candidates()[0].user_attrs["seconds"]
    assert stopped >= 1.0
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", diverging)
        _desk(run).turn(run.ledger.claim, more=True)
    record = read_records(tmp_path, run.studies)[0]
    assert (record.end, record.attempt) == ("diverged", 2)
    assert run.candidates()[1].user_attrs["seconds"] >= 0.5
    assert record.seconds >= stopped + 0.5


def test_a_teacher_that_finds_no_memory_is_no_network_s_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, named=["e_radio_mini", "e_radio_mini_s"], trials=2)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(LiveTargets, "batch", _raise(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")))
        for _ in range(2):
            desk = _desk(run, size=2)
            with pytest.raises(PassingError, match="The teachers ran out of memory"):
                desk.turn(run.ledger.claim, more=True)
            desk.hand_back("its worker ended")
    _to_the_end(run)
    # Both of the cohort first, then the one that was tried alone; the other was held for later, and handed back.
    assert sorted(trial.user_attrs["end"] for trial in run.candidates()) == [
        *["complete"] * 2,
        *["out-of-memory"] * 3,
        "pre-empted",
    ]


@pytest.mark.parametrize("constraints", [{}, {"throughput": 1e9}])
def test_a_network_beside_which_the_teachers_find_no_memory_does_not_block_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constraints: dict[str, float]
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, constraints=constraints)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(LiveTargets, "batch", _raise(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")))
        for _ in range(MOST_LOST):
            with pytest.raises(PassingError, match="The teachers ran out of memory"):
                _desk(run).turn(run.ledger.claim, more=True)
    _to_the_end(run)
    first, second = [one for one in read_records(tmp_path, run.studies) if one.duplicate_of is None]
    second_end = "infeasible" if constraints else "complete"
    assert (first.end, first.attempt, second.end) == ("out-of-memory", MOST_LOST, second_end)


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), RuntimeError("an odd shape")])
def test_a_finalist_that_cannot_be_compared_with_its_teachers_does_not_block_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, finalists=1, finalist_steps=6)
    _to_the_end(run)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    chosen, short = chosen_in(run), "memory" in str(error)

    class Bench:
        compare = staticmethod(_raise(error))

    monkeypatch.setattr(type(run), "bench", Bench())
    for _ in range(MOST_LOST if short else 1):
        assert not run.ledger.finalists_finished(chosen)
        desk = Desk(run, (run.config.finalist_steps,), 1, lambda: False, lambda *_: None)
        with pytest.raises(PassingError, match="out of memory") if short else nullcontext():
            desk.turn(lambda: run.ledger.claim_finalist(chosen), more=True)
    assert run.ledger.finalists_finished(chosen)
    (record,) = read_finalists(run.folder, run.studies)
    assert str(error) in record.reason


@pytest.mark.parametrize(
    "place",
    [
        "eradio.profile.measuring.subject_of",
        "eradio.search_space.Backbone.forward",  # its first picture, which says nothing about the resolution then
        "eradio.profile.ready.complexity",
    ],
)
def test_wherever_memory_is_short_while_a_network_is_measured_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        _refuse_once(patch, place, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        _to_the_end(run)
    assert "does not fit the memory" in run.candidates()[0].user_attrs["reason"]
    assert [trial.user_attrs["end"] for trial in run.candidates()] == ["out-of-memory", "complete"]


def test_no_memory_for_the_pictures_is_no_network_s_failure_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("eradio.profile.ready.torch.rand", _raise(MemoryError()))
        with pytest.raises(PassingError, match="There is no memory for 1 pictures of 64 pixels"):
            _desk(run).turn(run.ledger.claim, more=True)
    _to_the_end(run)
    assert [trial.user_attrs["end"] for trial in run.candidates()] == ["out-of-memory", "complete"]


@pytest.mark.parametrize("others", [1, 5])
def test_a_network_that_may_lack_the_memory_that_others_hold_is_tried_again_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    footprint, asked = memory.footprint, []

    def crowded(name: str, target: Target) -> Footprint:
        asked.append(name)
        return Footprint(outcome="no memory") if len(asked) <= others else footprint(name, target)

    monkeypatch.setattr(memory, "_ROOM_SECONDS", 0.0)
    monkeypatch.setattr("eradio.study.recovery.REST_SECONDS", 0.0)
    monkeypatch.setattr(memory, "footprint", crowded)
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, constraints={"memory_mb": 1e9})  # more than is free
    if others == 1:
        _to_the_end(run)
        assert [trial.user_attrs["end"] for trial in run.candidates()] == ["out-of-memory", "complete"]
        return
    desk = _desk(run)
    while len(asked) < MOST_LOST:
        desk.turn(run.ledger.claim, more=True)
    record = read_records(tmp_path, run.studies)[0]
    assert (record.end, record.attempt) == ("out-of-memory", MOST_LOST)
    assert "MB free, of 1e+09 MB" in record.reason


def test_a_network_that_does_not_fit_though_enough_is_free_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def small(name: str, target: Target) -> Footprint:
        asked.append(name)
        return Footprint(outcome="no memory") if len(asked) == 1 else Footprint(outcome="fits", peak_bytes=1)

    monkeypatch.setattr(memory, "footprint", small)
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1, constraints={"memory_mb": 1.0})
    _to_the_end(run)
    record = read_records(tmp_path, run.studies)[0]
    assert (record.end, record.attempt) == ("out-of-memory", 1)


def test_a_worker_whose_trial_was_taken_over_leaves_its_checkpoints_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=1)
    tell = run.ledger.tell

    def late(claim: Claim, record: TrialRecord) -> None:
        assert fail(claim.study, claim.trial, "lost", "its worker gave no sign of life")
        (claim.folder / "rung-4.pt").write_bytes(b"the next worker's")
        tell(claim, record)

    monkeypatch.setattr(run.ledger, "tell", late)
    _desk(run).turn(run.ledger.claim, more=True)
    assert (tmp_path / "candidates" / "0000" / "rung-4.pt").read_bytes() == b"the next worker's"


@pytest.mark.parametrize("place", ["eradio.study.objective.measure", "eradio.study.telling.upload_artifact"])
def test_what_a_full_disk_kept_from_its_end_is_handed_back_and_not_held_against_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = _run(tmp_path, trials=1)
    desk = _desk(run)
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises((MachineError, OSError), match=r"[Nn]o (room|space) left"):
            desk.turn(run.ledger.claim, more=True)
    desk.hand_back("its worker ended")
    assert not run.ledger.holding.keys()
    again = _desk(run)
    while again or not run.ledger.finished():
        again.turn(run.ledger.claim, more=True)
    ends = [trial.user_attrs["end"] for trial in run.studies["candidate"].trials]
    assert ends == ["pre-empted", "complete"]


def test_each_target_has_a_throughput_a_value_a_direction_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    also = {**PLAIN["target"], "engine": "onnxruntime"}
    run = _run(tmp_path, trials=1, also_on=[also])
    _to_the_end(run)
    (record,) = read_records(tmp_path, run.studies)
    assert [one.target.engine for one in record.measurements] == ["eager", "onnxruntime"]
    study = run.studies["candidate"]
    assert len(study.directions) == 3
    assert study.trials[0].values[1:] == [one.throughput.value for one in record.measurements]
    assert study.metric_names[1:] == ["images per second (1: eager)", "images per second (2: onnxruntime)"]
    assert run_command(["report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "On eager (cpu, fp32):" in said
    assert "On onnxruntime (cpu, fp32):" in said
    assert (tmp_path / "report" / "target-2" / "report.html").exists()
    assert run_command(["status", str(tmp_path)]) == 0
    assert "front of 1 on onnxruntime, cpu" in capsys.readouterr().out


def test_first_weights_come_from_the_most_similar_student_where_asked_and_are_reported(tmp_path: Path) -> None:
    run = _run(tmp_path, named=["e_radio_mini_s"], trials=2, inherit=True)
    _to_the_end(run)
    first, second = read_records(tmp_path, run.studies)
    assert first.inherited is None
    assert second.inherited == str(tmp_path / "candidates" / "0000" / "student.safetensors")
    known = json.loads((tmp_path / "candidates" / f"{second.number:04d}" / "inherited.json").read_text())
    assert 0 < known["share"] <= 1


def test_all_members_of_a_cohort_have_their_loss_before_any_is_judged(tmp_path: Path) -> None:
    run = _run(tmp_path, trials=4, **HALVING)
    _to_the_end(run, size=4)
    records = [one for one in read_records(tmp_path, run.studies) if one.duplicate_of is None]
    assert [one.decisions[0].among for one in records] == [4] * 4
    assert sorted(one.decisions[0].place for one in records) == [0, 1, 2, 3]
    assert sum(one.state == "complete" for one in records) == 2


def test_candidates_that_wait_for_a_longer_rung_end_with_the_budget(tmp_path: Path) -> None:
    run = _run(tmp_path, trials=4, budget={"device_hours": 1e-6}, halving={"rungs": [2], "reduction": 2})
    desk = _desk(run)
    assert desk.turn(run.ledger.claim, more=True)
    why = run.ledger.used_up()
    assert "device hours are used" in why
    desk.close(why)
    assert not desk
    assert run.ledger.finished()
    (record,) = read_records(tmp_path, run.studies)
    assert (record.end, record.reason, record.score.steps) == ("halted", why, 2)
