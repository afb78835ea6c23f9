"""Records of a study."""

from eradio.study.records import TrialRecord, front_of
from tests.analysis import made_up


def test_what_was_told_without_a_measurement_stays_off_the_front() -> None:
    foreign = TrialRecord(
        role="candidate", number=0, name="trial 0", network_digest="", network={}, words="", state="complete"
    )
    worse, better = made_up.trial(1, 1000.0, 0.9), made_up.trial(2, 1000.0, 0.5)
    assert front_of([foreign, worse, better], "candidate") == [better]
