"""A supervisor and real small processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eradio.errors import EradioError
from eradio.study.processes import ProcessIdentity
from eradio.study.restarts import Rules
from eradio.study.supervisor import read_note, supervise
from tests.waiting import until

QUICK = Rules(first_wait=0.01, longest_wait=0.02, deaths=3, patience=20)

# Takes one line of the file at a time, and ends by what it says: a status, or a signal as a negative number.
SCRIPT = """
import os, sys
lines = open(sys.argv[1]).read().split()
open(sys.argv[1], "w").write(" ".join(lines[1:]))
print("A sentence about", lines[0], file=sys.stderr)
if lines[0] == "oops":
    raise ValueError("something unforeseen")
if lines[0].startswith("logged"):
    import logging
    try:
        raise ValueError("a library's own")
    except ValueError:
        logging.exception("It goes on")
    print("eradio: Mend it." if lines[0] == "logged1" else "Asked to stop.")
    sys.exit(int(lines[0].removeprefix("logged")))
if int(lines[0]) < 0:
    os.kill(os.getpid(), -int(lines[0]))
sys.exit(int(lines[0]))
"""

# Says its number, then ends by what it is told.
LISTENER = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: (print("Told", number, flush=True), time.sleep(0.3), sys.exit(143)))
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "logs" / "worker.log"


@pytest.fixture
def ends(tmp_path, log):
    """Supervises a worker that ends by these, one after the other; returns the last note."""

    def ends(text: str, rules: Rules = QUICK):
        plan = tmp_path / "plan"
        plan.write_text(text)
        return supervise([sys.executable, "-c", SCRIPT, str(plan)], rules, log=log, note=tmp_path / "note.json")

    return ends


def test_a_worker_that_is_done_is_not_started_again(ends, tmp_path):
    note = ends("0 0")
    assert (note.state, note.status, note.starts) == ("ended", 0, 1)
    assert read_note(tmp_path / "note.json") == note


def test_what_the_user_must_mend_is_said_at_once(ends):
    note = ends("1 0")
    assert (note.status, note.starts, note.words) == (1, 1, "A sentence about 1")


def test_an_unforeseen_error_points_to_its_story(ends, log):
    note = ends("oops 0")
    assert (note.status, note.starts) == (1, 1)
    assert note.words == f"It failed unexpectedly (ValueError: something unforeseen); the whole story is in {log}."


def test_a_sentence_of_its_own_counts_for_more_than_what_a_library_logged_before(ends):
    assert ends("logged1 0").words == "eradio: Mend it."
    assert ends("logged143 0").words == "Asked to stop."
    assert ends("logged0").words == "Asked to stop."


def test_passing_troubles_are_waited_for_however_many(ends):
    note = ends("75 75 75 75 75 0")
    assert (note.status, note.starts) == (0, 6)


def test_deaths_are_followed_by_a_start_until_there_are_too_many(ends):
    assert (ends("-9 -11 0").status, ends("-9 75 -9 1").starts) == (0, 4)
    note = ends("-9 -9 -9 0")
    assert (note.status, note.starts) == (1, 3)
    assert "died 3 times in a row" in note.words
    assert "SIGKILL" in note.words


def test_deaths_after_healthy_stretches_are_not_counted(ends):
    rules = QUICK.model_copy(update={"healthy": 0.0})
    assert ends("-9 -9 -9 -9 -9 0", rules).status == 0


def test_a_worker_that_was_asked_by_somebody_else_is_not_started_again(ends):
    note = ends("-15 0")
    assert (note.status, note.starts) == (143, 1)


def test_every_start_s_output_is_kept_in_order_with_a_sentence_for_each_end(ends, log):
    ends("75 0")
    lines = log.read_text().splitlines()
    assert lines[0] == "A sentence about 75"
    assert "supervisor: A sentence about 75 It starts again in 0 s." in lines[1]
    assert lines[2] == "A sentence about 0"


def test_what_cannot_be_started_is_a_sentence(tmp_path):
    with pytest.raises(EradioError, match="Cannot start nothing-of-that-name"):
        supervise(["nothing-of-that-name"], QUICK, note=tmp_path / "note.json")
    assert read_note(tmp_path / "note.json").status == 1


def test_the_worker_has_the_usual_signals(tmp_path, log):
    shown = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    supervise([sys.executable, "-c", shown], QUICK, log=log)
    assert log.read_text().splitlines()[0] == "[]"


@pytest.fixture
def begin(tmp_path, log):
    """Starts a supervisor of a program as a process of its own; returns it with its worker's number."""
    begun = []

    def begin(program: str, rules: Rules = QUICK, *more: str):
        own = ["--log", str(log), "--note", str(tmp_path / "note.json"), "--rules", rules.canonical(), *more]
        command = [sys.executable, "-m", "eradio.study.supervisor", *own, "--", sys.executable, "-c", program]
        begun.append(subprocess.Popen(command))
        words = until(lambda: log.exists() and (said := log.read_text().split())[1:] and said)
        return begun[-1], int(words[1])

    yield begin
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_wish_to_stop_is_passed_on_once(begin, log, tmp_path, number):
    process, _ = begin(LISTENER)
    process.send_signal(number)
    until(lambda: "Told" in log.read_text())
    process.send_signal(number)
    assert process.wait(30) == 143
    assert log.read_text().count("\nTold") == 1
    note = read_note(tmp_path / "note.json")
    assert (note.status, note.told) == (143, number)


def test_a_worker_that_does_not_listen_is_killed(begin, tmp_path):
    deaf = LISTENER.replace("sys.exit(143)", "None")
    process, worker = begin(deaf, QUICK.model_copy(update={"patience": 0.5}))
    identity = ProcessIdentity.of(worker)
    process.terminate()
    assert process.wait(30) == 137
    assert identity.state() == "gone"
    words = "It had not ended 0.5 s after it was asked to, and was killed."
    assert read_note(tmp_path / "note.json").words == words


def test_a_wish_to_stop_ends_the_waiting(begin, tmp_path):
    rules = Rules(first_wait=5000, longest_wait=5000)
    process, _ = begin("import os, sys; print('ready', os.getpid()); sys.exit(75)", rules)
    until(lambda: read_note(tmp_path / "note.json").state == "waiting")
    process.terminate()
    assert process.wait(30) == 143
    assert read_note(tmp_path / "note.json").starts == 1


def test_a_worker_does_not_outlive_its_supervisor(begin):
    process, worker = begin(LISTENER)
    identity = ProcessIdentity.of(worker)
    process.kill()
    process.wait()
    until(lambda: identity.state() == "gone")


def test_what_a_worker_leaves_behind_ends_with_it(begin, log):
    parent = "import os, subprocess; print('ready', subprocess.Popen(['sleep', '600']).pid, flush=True)"
    process, left = begin(parent)
    assert process.wait(30) == 0
    until(lambda: ProcessIdentity.of(left) is None or ProcessIdentity.of(left).state() == "gone")


def test_a_supervisor_whose_parent_has_ended_asks_its_worker_to_stop(tmp_path, log):
    note = tmp_path / "note.json"
    options = f"['--log', {str(log)!r}, '--note', {str(note)!r}, '--parent', str(os.getpid()), '--']"
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-m', 'eradio.study.supervisor', *{options}, "
        f"sys.executable, '-c', {LISTENER!r}])\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    until(lambda: log.exists() and "ready" in log.read_text())
    process.kill()
    process.wait()
    ended = until(lambda: (read := read_note(note)) and read.state == "ended" and read)
    assert (ended.status, ended.told) == (143, signal.SIGTERM)


def test_a_sleeping_supervisor_uses_no_time(begin):
    process, _ = begin(LISTENER)
    spent = Path(f"/proc/{process.pid}/schedstat")
    before = [int(spent.read_text().split()[2])]
    until(lambda: before.append(int(spent.read_text().split()[2])) or len(before) > 20)
    assert before[-1] - before[1] <= 2


def test_the_command_is_needed():
    done = subprocess.run([sys.executable, "-m", "eradio.study.supervisor"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "after --" in done.stderr
