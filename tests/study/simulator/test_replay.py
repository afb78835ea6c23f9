"""Searches replayed over a small table made by hand."""

import pytest

from eradio.errors import EradioError
from eradio.study.halving import Halving
from eradio.study.simulator import Scenario, replay
from eradio.study.simulator.desk import Desk

HALVING = Halving(rungs=(10, 30), reduction=2)


def scenario(**changes):
    return Scenario.parse({"engine": "cpu", "sampler": "random", "candidates": 12, **changes}, "test")


def seconds(table, name, *rungs):
    return sum(table.members[name].rungs[steps].seconds for steps in rungs)


@pytest.mark.parametrize(
    "changes",
    [{}, {"sampler": "tpe", "halving": HALVING, "cohort": 3, "workers": 2, "deaths_per_hour": 2, "lease_seconds": 50}],
)
def test_the_same_scenario_gives_the_same_search(table, changes):
    one = replay(table, scenario(**changes))
    assert replay(table, scenario(**changes)) == one
    assert replay(table, scenario(**changes, seed=1)) != one


def test_alone_each_pays_for_its_own_teachers(table):
    one = replay(table, scenario(measuring_seconds=5))
    assert sorted(one.finished) == list(table.members)
    own = [seconds(table, name, 10, 30, 90) for name in one.finished]
    expected = [sum(own[: number + 1]) + 2 * 90 * (number + 1) for number in range(12)]
    assert one.compute == pytest.approx(expected)
    assert one.clock == pytest.approx([spent + 5 * (number + 1) for number, spent in enumerate(expected)])
    assert one.hypervolume[-1] == pytest.approx(1)
    assert list(one.hypervolume) == sorted(one.hypervolume)
    assert one.trials > 12


def test_a_cohort_shares_its_teachers(table):
    one = replay(table, scenario(cohort=5))
    assert one.spent == pytest.approx(seconds_of_all(table) + 2 * 90 * 3)
    assert replay(table, scenario(cohort=5, teacher_seconds=0)).spent == pytest.approx(seconds_of_all(table))


def seconds_of_all(table):
    return sum(seconds(table, name, 10, 30, 90) for name in table.members)


def test_halving_pays_for_the_rungs_that_were_reached(table):
    one = replay(table, scenario(halving=HALVING, teacher_seconds=0))
    (first, on), (second, further), (last, _) = one.decided
    assert (first, second, last) == (12, on, further)
    assert last == len(one.finished) < 12
    whole = sum(seconds(table, name, 10) for name in table.members)
    assert whole < one.spent < seconds_of_all(table)
    rest = sum(seconds(table, name, 30, 90) for name in one.finished)
    assert one.spent >= whole + rest


def test_a_rung_that_is_left_out_is_passed_by(table):
    one = replay(table, scenario(halving=Halving(rungs=(30,), reduction=2), teacher_seconds=0))
    first = sum(seconds(table, name, 10, 30) for name in table.members)
    assert one.spent == pytest.approx(first + sum(seconds(table, name, 90) for name in one.finished))


def test_several_workers_are_done_sooner_at_the_same_cost(table):
    one, two = (replay(table, scenario(workers=workers)) for workers in (1, 3))
    assert two.seconds < one.seconds / 2
    assert two.spent == pytest.approx(one.spent)
    assert sorted(two.finished) == sorted(one.finished)


@pytest.mark.parametrize("workers", [1, 3])
def test_failures_cost_time_but_lose_and_change_nothing(table, workers):
    calm = replay(table, scenario(candidates=9, workers=workers, seed=2))
    rough = replay(table, scenario(candidates=9, workers=workers, seed=2, deaths_per_hour=4, lease_seconds=100))
    assert rough.deaths > 0
    assert sorted(rough.finished) == sorted(calm.finished)
    assert rough.hypervolume[-1] == calm.hypervolume[-1]
    assert rough.spent > calm.spent
    assert rough.seconds > calm.seconds


def test_under_failures_every_candidate_still_ends(table):
    rough = replay(table, scenario(halving=HALVING, cohort=4, workers=2, deaths_per_hour=6, lease_seconds=30))
    (first, on), (second, further), (last, _) = rough.decided
    assert rough.deaths > 0
    assert (first, second, last) == (12, on, further)
    assert len(rough.finished) == last


def test_chance_that_puts_nothing_back_draws_each_once(table):
    one = replay(table, scenario(sampler="each"))
    assert one.trials == 12
    assert sorted(one.finished) == list(table.members)
    assert replay(table, scenario(sampler="each", seed=1)).finished != one.finished


def test_a_budget_ends_the_search_after_what_is_at_hand(table):
    one = replay(table, scenario(compute=500))
    assert one.compute[-2] < 500 <= one.compute[-1]


def test_a_sampler_with_no_more_to_say_ends_the_search(table):
    one = replay(table, scenario(attempts=1))
    assert one.trials == 12
    assert len(one.finished) < 12


def test_the_study_is_told_who_was_halted_and_twins_as_their_firsts(table):
    desk = Desk(table, scenario())
    first = desk.ask()
    desk.end(first, 30, 1)
    while desk.ask():
        pass
    trials = desk._study.trials
    assert trials[0].values == [first.member.rungs[30].loss, first.member.throughput("cpu")]
    assert trials[0].constraints == {"halted": 1}
    twins = [trial for trial in trials[1:] if trial.params == trials[0].params]
    assert twins
    assert all((trial.values, trial.constraints) == (trials[0].values, {"halted": 1}) for trial in twins)
    assert {trial.state.name for trial in trials} == {"COMPLETE", "RUNNING", "FAIL"}


def test_gaussian_processes_learn_from_those_that_were_halted(table):
    one = replay(table, scenario(sampler="gp", candidates=11, halving=HALVING))
    assert one.decided[0][0] == 11


def test_a_partial_table_claims_nothing(rows, table_of):
    table = table_of(rows[:7])
    with pytest.raises(EradioError, match="6 of the 12 members"):
        replay(table, scenario())
    one = replay(table, scenario(allow_partial=True))
    assert one.caution() == "partial table: 6 of 12; figures are not claims"
    assert sorted(one.finished) == list(table.members)


def test_a_member_whose_training_diverged_is_measured_and_ends(rows, table_of):
    rows[4] = {**rows[4], "reason": "diverged: loss is not a number"}
    del rows[4]["rungs"]
    one = replay(table_of(rows), scenario())
    assert len(one.finished) == 11
    assert rows[4]["digest"] not in one.finished
    assert one.caution() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "tpu"}, "no engine 'tpu'; use cpu or other"),
        ({"halving": {"rungs": [20]}}, "no rung of 20 steps before the last; use some of 10, 30"),
        ({"halving": {"rungs": [90]}}, "no rung of 90 steps"),
        ({"sampler": "nobody"}, "no sampler 'nobody'"),
    ],
)
def test_what_the_table_cannot_answer_is_refused(table, changes, words):
    with pytest.raises(EradioError, match=words):
        replay(table, scenario(**changes))
