"""The sentences: each outcome is told as it fell, and overlapping intervals are never ranked."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.analysis.outcome import area, outcome, reference_of
from eradio.analysis.points import front_of, points
from eradio.analysis.verdicts import verdicts
from eradio.front import hypervolume
from tests.analysis.made_up import baseline, failed, finalist, measured, scored, study, trial, whole

RANKED = re.compile(r"larger than|is faster than|is slower than")


def test_a_searched_front_ahead_is_said_to_be_larger_by_the_factor_of_the_hypervolumes():
    run = study([trial(0, 1000, 0.4), trial(1, 2000, 0.5), baseline(0, "vit", 900, 0.6)])
    # The reference lies a tenth of the range behind the worst: 900 - 110 images/s and 0.6 + 0.02.
    ours, theirs = (210 * 0.22 + 1000 * 0.12), 110 * 0.02
    text = outcome(run)[0]
    assert text.startswith("The searched front is larger than the baselines'")
    assert f"by a factor of {ours / theirs:.1f}" in text
    assert "790 images/s and a loss of 0.6200" in text


def test_a_searched_front_behind_is_said_to_be_behind():
    run = whole(edge=0.4)
    assert outcome(run)[0].startswith("The baselines' front is larger than the searched one")
    assert "Some candidate is faster, beyond both intervals, with no higher loss than 0 of" in outcome(run)[1]


def test_fronts_that_overlap_are_not_ranked():
    ours, theirs = [trial(0, 1000, 0.4), trial(1, 500, 0.3)], [baseline(0, "vit", 1001, 0.4)]
    run = study([*ours, *theirs, baseline(1, "vit", 499, 0.3)])
    assert outcome(run)[0].startswith("Neither the searched front nor the baselines' is larger beyond")


def test_a_baseline_is_overtaken_only_where_the_intervals_part():
    close = study([trial(0, 1010, 0.3), baseline(0, "vit", 1000, 0.5)])
    apart = study([trial(0, 1100, 0.3), baseline(0, "vit", 1000, 0.5)])
    assert "than 0 of the 1 network on the baselines' front" in outcome(close)[1]
    assert "than 1 of the 1 network on the baselines' front" in outcome(apart)[1]


def test_nothing_complete_no_baseline_and_a_single_trial_each_have_a_sentence():
    assert "no searched front" in outcome(study())[0]
    assert "2 candidates failed" in outcome(study([failed(0), failed(1)]))[0]
    alone = outcome(study([trial(4, 800, 0.5)]))
    assert "1 distinct network; its front is one of them, #4, with 800.0 ± " in alone[0]
    assert "nothing to compare" in alone[1]
    assert verdicts(study()) == []


def test_duplicates_and_failures_stay_off_the_front():
    run = study([trial(0, 1000, 0.5), trial(1, 1000, 0.5, duplicate_of=0), failed(2)])
    assert [point.number for point in front_of(points(run, "candidate"))] == [0]


def test_halted_and_infeasible_candidates_stay_off_the_front_and_are_counted():
    halted = {"state": "halted", "end": "halted", "reason": "place 3 of 3 after 500 steps", "score": scored(0.1, 500)}
    useless = {"state": "halted", "end": "infeasible", "reason": "too slow", "score": scored(0.9, 0)}
    run = study([trial(0, 1000, 0.5), trial(1, 9000, 0.1, **halted), trial(2, 10, 0.9, **useless)])
    assert [point.number for point in front_of(points(run, "candidate"))] == [0]
    said = outcome(run)
    assert "1 more candidate was halted at a rung, so 2,000 training steps were taken instead of 3,000." in said
    assert "1 candidate does not keep the constraints and took no training." in said
    assert not any("similar student" in sentence for sentence in said)
    run = study([trial(0, 1000, 0.5), trial(1, 900, 0.4, inherited="0000/student.safetensors")])
    assert any("1 candidate began with weights of a similar student" in sentence for sentence in outcome(run))


def test_the_interval_of_an_area_holds_the_areas_of_all_throughputs_inside():
    some = points(whole(), "candidate")
    reference = reference_of(front_of(some))
    interval = area(some, reference)
    corner = (-reference.throughput, reference.loss)
    mixed = [
        hypervolume(
            [(-(p.throughput.low if (p.number + odd) % 2 else p.throughput.high), p.loss) for p in some],
            corner,
        )
        for odd in (0, 1)
    ]
    assert all(interval.low < value < interval.high for value in mixed)
    assert interval.low < interval.value < interval.high


def test_a_finalist_is_set_beside_the_nearest_baseline_trained_as_long():
    ours = trial(0, 1000, 0.4)
    near, far = baseline(0, "vit", 1500, 0.5), baseline(1, "resnet", 4000, 0.6)
    run = study([ours, near, far], [finalist(ours, score=0.7), finalist(far), finalist(near, score=0.5)])
    text = verdicts(run)[-1]
    assert "#0 (1,000 ± 11 images/s) is slower than the nearest baseline vit-s" in text
    assert "a lower validation loss (0.3400 against 0.4250)" in text
    assert "of 4 downstream metrics its interval lies above the baseline's in 4" in text


def test_a_finalist_without_a_baseline_trained_as_long_says_so():
    one = trial(0, 1000, 0.4)
    other = finalist(baseline(0, "vit", 1000, 0.4))
    longer = other.model_copy(update={"score": other.score.model_copy(update={"steps": 9000})})
    assert "no baseline trained as long" in verdicts(study([one], [finalist(one)]))[-1]
    assert "no baseline trained as long" in verdicts(study([one], [finalist(one), longer]))[-1]


@given(st.floats(200, 4000), st.floats(0.8, 1.25), st.floats(0.001, 0.2))
@settings(deadline=None, max_examples=60)
def test_no_sentence_ranks_two_throughputs_that_overlap(rate, factor, spread):
    ours, theirs = measured(rate, spread), measured(rate * factor, spread)
    first = finalist(trial(0, rate, 0.4)).model_copy(update={"measurement": ours})
    second = finalist(baseline(0, "vit", rate, 0.4)).model_copy(update={"measurement": theirs})
    text = verdicts(study(finalists=[first, second]))[-1]
    assert bool(RANKED.search(text)) != ours.throughput.overlaps(theirs.throughput)


@pytest.mark.parametrize(("spread", "ranked"), [(0.3, False), (0.0001, True)])
def test_wide_intervals_leave_close_fronts_unranked(spread, ranked):
    run = study(
        [
            trial(0, loss=0.4, measurement=measured(1000, spread)),
            baseline(0, "vit", 950, 0.4, measurement=measured(950, spread)),
            baseline(1, "vit", 500, 0.39, measurement=measured(500, spread)),
        ]
    )
    assert bool(RANKED.search(outcome(run)[0])) == ranked
