"""When a worker is started again."""

import signal

import pytest

from eradio.errors import EradioError
from eradio.study.restarts import Rules, Tries, outcome, status_of

RULES = Rules(first_wait=1, longest_wait=60, healthy=100, deaths=3)


@pytest.mark.parametrize(
    ("returncode", "what", "status"),
    [
        (0, "done", 0),
        (1, "mend", 1),
        (2, "mend", 2),
        (127, "mend", 127),
        (75, "passing", 75),
        (143, "asked", 143),
        (-signal.SIGTERM, "asked", 143),
        (-signal.SIGUSR2, "asked", 143),
        (130, "asked", 143),
        (-signal.SIGKILL, "death", 137),
        (137, "death", 137),
        (-signal.SIGSEGV, "death", 139),
    ],
)
def test_what_a_return_code_means(returncode, what, status):
    assert (outcome(returncode), status_of(returncode)) == (what, status)


def test_waits_double_up_to_the_longest():
    tries, waits = Tries(), []
    for _ in range(9):
        tries = tries.after("passing", 0, RULES)
        waits.append(tries.wait(RULES, 0))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_thousand_troubles_in_a_row_are_still_a_number():
    assert Tries(ends=100_000).wait(RULES, 0) == 60


def test_a_wait_is_drawn_between_half_and_all_of_it():
    assert Tries(ends=4).wait(RULES, 0.999) == pytest.approx(4, abs=0.01)


def test_a_healthy_stretch_begins_the_counting_anew():
    tries = Tries(ends=5, deaths=2)
    assert tries.after("death", 99, RULES) == Tries(6, 3)
    assert tries.after("death", 100, RULES) == Tries(1, 1)


def test_passing_troubles_are_no_deaths():
    assert Tries(deaths=2).after("passing", 0, RULES).deaths == 2


def test_rules_that_contradict_themselves_are_a_sentence():
    with pytest.raises(EradioError, match="longest_wait must not be shorter"):
        Rules.parse({"first_wait": 9, "longest_wait": 3}, "rules")
