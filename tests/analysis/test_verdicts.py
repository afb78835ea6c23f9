"""The finalists' sentences: half of the teachers, baselines that are ahead, trainings that failed."""

from eradio.analysis.verdicts import verdicts
from eradio.interval import Interval
from tests.analysis.made_up import baseline, finalist, study, trial


def _scored(number, student):
    """A finalist whose first metric is `student` where its teacher has 0.78."""
    one = finalist(trial(number, 1000 + number, 0.5))
    score = Interval(value=student, low=student - 0.01, high=student + 0.01)
    first = one.comparisons[0].model_copy(update={"student": score})
    return one.model_copy(update={"comparisons": (first, *one.comparisons[1:])})


def test_all_finalists_reach_half_of_their_teachers():
    text = verdicts(study(finalists=[_scored(0, 0.5), _scored(1, 0.4)]))[0]
    assert text.startswith("2 of 2 finalists reach at least half of their teacher's score in every metric.")
    assert (
        "half of the teacher's score is reached in 7 of 8 comparisons, and the untrained self's is passed in 8" in text
    )


def test_a_finalist_below_half_is_named_with_its_metric():
    text = verdicts(study(finalists=[_scored(0, 0.5), _scored(1, 0.3)]))[0]
    assert text.startswith("1 of 2 finalists reach")
    assert "#1 does not in CLIP zero-shot top-1 (0.38)" in text


def test_a_baseline_ahead_in_both_is_named():
    ours, theirs = finalist(trial(0, 1000, 0.5)), finalist(baseline(0, "vit", 1500, 0.4))
    assert "1 is beaten by a baseline trained as long" in verdicts(study(finalists=[ours, theirs]))[1]
    assert "#0 by vit-s" in verdicts(study(finalists=[ours, theirs]))[1]


def test_a_faster_baseline_with_a_higher_loss_or_an_overlapping_speed_beats_nobody():
    ours = finalist(trial(0, 1000, 0.5))
    worse, alike = finalist(baseline(0, "vit", 1500, 0.6)), finalist(baseline(0, "vit", 1005, 0.4))
    for theirs in (worse, alike):
        text = verdicts(study(finalists=[ours, theirs]))[1]
        assert text.startswith("Of 1 student trained longer, 0 are beaten")
        assert " by vit" not in text


def test_a_longer_training_that_failed_says_why():
    lost = finalist(trial(3, 1000, 0.5)).model_copy(update={"reason": "diverged: the loss was nan at step 400"})
    assert verdicts(study(finalists=[lost])) == [
        "The longer training of #3 failed: diverged: the loss was nan at step 400."
    ]
