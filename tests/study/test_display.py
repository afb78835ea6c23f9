"""Progress as a user sees it."""

import io

from rich.console import Console

from eradio.study.display import Display, Snapshot, Workload, summary
from tests.analysis import made_up

WORKLOAD = Workload(networks=5, rivals=0, rungs=(10,), reduction=1, finalists=2, finalist_steps=30)
IDLE = {"job": "waiting", "folder": None, "step": 3, "steps": 10}
TRIALS = tuple(
    made_up.trial(number, rate, loss, score=made_up.scored(loss, steps=10))
    for number, (rate, loss) in enumerate([(1000, 0.6), (500, 0.5), (400, 0.7)])
)


def test_summary_gives_the_best_loss_and_the_front_s_size() -> None:
    assert summary(Snapshot(TRIALS, (), ())) == "best loss 0.5000, front 2"
    assert summary(Snapshot((), (), ())) == "no candidate yet"


def test_every_event_is_said_once() -> None:
    text = io.StringIO()
    workers = ({"job": "trial 3", "folder": None, "step": 5, "steps": 10},)
    with Display(Console(file=text, width=200), WORKLOAD) as display:
        display.update(Snapshot(TRIALS[:1], (), workers))
        failed = made_up.failed(3, reason="diverged: [/red] the loss was nan")
        twin = made_up.trial(4, duplicate_of=0)
        snapshot = Snapshot((*TRIALS, failed, twin), (made_up.finalist(TRIALS[1]),), workers)
        display.update(snapshot)
        display.update(snapshot)
    said = text.getvalue()
    assert said.count("trial-0: loss 0.6000, 1000 images/s") == 1
    assert said.count("candidate 3 failed: diverged: [/red] the loss was nan") == 1
    assert said.count("candidate 4 is the same network as 0") == 1
    assert said.count("finalist trial-1: loss") == 1
    assert "best loss 0.5000, front 2" in said


def test_a_terminal_sees_the_bar_with_what_is_left() -> None:
    text, seconds = io.StringIO(), iter([0.0, *[30.0] * 9])
    workers = ({"job": "trial 3", "folder": "3", "step": 5, "steps": 10}, {**IDLE, "job": "teacher targets"})
    with Display(Console(file=text, width=160, force_terminal=True), WORKLOAD, lambda: next(seconds)) as display:
        display.update(Snapshot((), (), ()))
        display.update(Snapshot(TRIALS, (), workers))
    said = text.getvalue()
    assert "3/5 networks" in said
    assert "trial 3 5/10" in said
    # 35 of 90 steps took 30 seconds; the other 55 take 47.
    assert "ETA 0:47" in said


def test_steps_count_what_ended_and_what_is_under_way() -> None:
    finalist = {"job": "finalist trial 1", "folder": "1", "step": 17, "steps": 30}
    early = {"job": "finalist trial 0", "folder": "0", "step": 8, "steps": 30}
    twin = made_up.trial(4, duplicate_of=0)
    cohort = {"job": "trial 3 and 2 more", "folder": "3", "step": 4, "steps": 10, "together": 3}
    assert Snapshot((), (), (cohort,)).steps_done(WORKLOAD) == 12
    assert Snapshot((), (), (IDLE,)).steps_done(WORKLOAD) == 0
    assert Snapshot((*TRIALS, twin), (), (finalist, early)).steps_done(WORKLOAD) == 3 * 10 + 7
    assert Snapshot(TRIALS, (made_up.finalist(TRIALS[0]),), (finalist,)).steps_done(WORKLOAD) == 3 * 10 + 20 + 7


def test_a_halted_candidate_is_a_network_with_its_own_steps_and_no_part_of_the_front() -> None:
    halted = made_up.trial(
        5,
        9000,
        0.1,
        state="halted",
        end="halted",
        reason="place 4 of 6 after 3 steps",
        score=made_up.scored(0.1, steps=3),
    )
    snapshot = Snapshot((*TRIALS, halted), (), ())
    assert snapshot.networks() == 4
    assert snapshot.steps_done(WORKLOAD) == 33
    assert summary(snapshot) == "best loss 0.5000, front 2"
    # Six candidates to 9 steps, two of them to 27, and one rival to 27.
    workload = Workload(networks=7, rivals=1, rungs=(9, 27), reduction=3, finalists=0, finalist_steps=27)
    assert workload.total() == 6 * 9 + 2 * 18 + 27
    text = io.StringIO()
    with Display(Console(file=text, width=200), WORKLOAD) as display:
        display.update(snapshot)
    assert "trial-5 halted (place 4 of 6 after 3 steps): loss 0.1000" in text.getvalue()
