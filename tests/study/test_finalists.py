"""Which networks are trained for longer."""

from eradio.study.finalists import choose
from eradio.study.records import TrialRecord, on_a_front
from tests.analysis import made_up

STUDENTS = [
    made_up.trial(0, rate=2000, loss=0.9),
    made_up.trial(1, rate=1000, loss=0.6),
    made_up.trial(2, rate=900, loss=0.7),  # dominated by trial 1
    made_up.trial(3, rate=400, loss=0.5),
    made_up.trial(4, rate=100, loss=0.4),
    made_up.trial(5, rate=100, loss=0.3, duplicate_of=4),
    made_up.failed(6),
    made_up.trial(7, rate=3000, loss=0.2, state="halted", end="halted"),
]
RIVALS = [
    made_up.baseline(0, "vit", 390, 0.6),
    made_up.baseline(1, "resnet", 1100, 0.8),
    made_up.baseline(2, "convnext", 95, 0.5),
    made_up.baseline(3, "mobilenet", 110, 0.9),  # dominated by the vit
]


def _keys(records: list, count: int) -> list[tuple[str, int]]:
    return [(role, int(number)) for role, _, number in (job.partition("-") for job in choose(records, count))]


def test_the_best_of_the_front_and_their_nearest_rivals_slowest_first() -> None:
    assert _keys(STUDENTS + RIVALS, 2) == [
        ("baseline", 2),
        ("candidate", 4),
        ("baseline", 0),
        ("candidate", 3),
    ]


def test_a_student_that_a_faster_one_all_but_equals_is_no_finalist() -> None:
    close = [made_up.trial(0, 900, 0.400), made_up.trial(1, 1000, 0.405), made_up.trial(2, 2000, 0.418)]
    assert _keys(close, 2) == [("candidate", 1), ("candidate", 2)]
    assert _keys(close, 1) == [("candidate", 1)]


def test_the_fronts_of_all_targets_count() -> None:
    def measured(number: int, rates: tuple[float, float], loss: float) -> TrialRecord:
        one, other = (made_up.trial(number, rate, loss) for rate in rates)
        return one.model_copy(update={"also": (other.measurement,)})

    some = [measured(0, (1000, 100), 0.5), measured(1, (900, 900), 0.6), measured(2, (800, 90), 0.7)]
    assert _keys(some, 9) == [("candidate", 1), ("candidate", 0)]
    assert [one.number for one in on_a_front(some, "candidate")] == [0, 1]


def test_a_dominated_a_failed_and_a_repeated_network_are_never_finalists() -> None:
    numbers = {number for role, number in _keys(STUDENTS + RIVALS, 9) if role == "candidate"}
    assert numbers == {0, 1, 3, 4}


def test_each_rival_is_taken_once_and_may_be_used_up() -> None:
    keys = _keys(STUDENTS + RIVALS, 9)
    assert len(keys) == len(set(keys)) == 7


def test_without_rivals_or_without_students() -> None:
    assert _keys(STUDENTS, 1) == [("candidate", 4)]
    assert _keys(RIVALS, 3) == []
