"""Who holds a trial, and for how long that is believed."""

import signal
import subprocess
import sys
import threading

from eradio.study.lease import BEATS, Beating, Lease, Owner, Watch
from tests.waiting import until

KEY = ("study", 3)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _elsewhere(beat: int) -> Lease:
    owner = Owner.this().model_copy(update={"boot": "another machine"})
    return Lease(owner=owner, attempt=1, beat=beat)


def test_an_owner_is_known_dead_only_where_it_ran() -> None:
    assert not Owner.this().known_dead()
    process = subprocess.Popen(["sleep", "60"])
    owner = Owner.this().model_copy(update={"pid": process.pid, "born": 0})
    assert owner.known_dead()  # another process has its number
    process.kill()
    until(lambda: owner.known_dead())  # also before its end is noted
    process.wait()
    assert not owner.model_copy(update={"boot": "another machine"}).known_dead()


def test_a_stopped_process_is_not_dead() -> None:
    code = (
        "import sys; from eradio.study.lease import Owner; print(Owner.this().model_dump_json(), flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    owner = Owner.model_validate_json(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    assert not owner.known_dead()
    process.kill()
    process.wait()
    assert owner.known_dead()


def test_two_workers_of_one_process_are_told_apart() -> None:
    assert Owner.this() != Owner.this()


def test_a_beat_that_moves_keeps_a_lease_and_one_that_stands_still_ends_it() -> None:
    clock = Clock()
    watch = Watch(60, clock)
    for beat in range(20):
        assert watch.run_out([(KEY, _elsewhere(beat))]) == []
        clock.now += 20
    assert watch.run_out([(KEY, _elsewhere(19))]) == []
    clock.now += 20
    assert watch.run_out([(KEY, _elsewhere(19))]) == []
    clock.now += 20
    assert watch.run_out([(KEY, _elsewhere(19))]) == [KEY]


def test_a_trial_that_nobody_has_put_a_name_to_runs_out_too() -> None:
    clock = Clock()
    watch = Watch(60, clock)
    found = []
    for _ in range(4):
        found = watch.run_out([(KEY, None)])
        clock.now += 20
    assert found == [KEY]


def test_one_long_silence_of_the_observer_is_not_the_observed_one_s() -> None:
    clock = Clock()
    watch = Watch(60, clock)
    watch.run_out([(KEY, _elsewhere(0))])
    clock.now += 1e6
    assert watch.run_out([(KEY, _elsewhere(0))]) == []


def test_it_beats_until_it_is_left() -> None:
    beats = threading.Semaphore(0)

    with Beating(beats.release, seconds=0.01 * BEATS):
        for _ in range(3):
            assert beats.acquire(timeout=30)
