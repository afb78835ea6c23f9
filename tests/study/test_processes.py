"""Processes told apart and signalled."""

import os
import signal
import subprocess

from eradio.study.processes import ProcessIdentity, tell
from tests.waiting import until


def _sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"])


def test_a_process_that_lives_ends_and_is_collected():
    process = _sleeper()
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    assert identity.state() == "alive"
    assert tell([identity], signal.SIGKILL, 30) == []
    assert identity.state() == "gone"
    process.wait()
    assert identity.state() == "gone"
    assert ProcessIdentity.of(process.pid) is None


def test_a_number_used_again_is_another_process_and_is_not_signalled():
    process = _sleeper()
    identity = ProcessIdentity.of(process.pid)
    older = identity.model_copy(update={"started": identity.started - 1})
    assert older.state() == "gone"
    assert older.handle() is None
    assert tell([older], signal.SIGKILL, 1) == []
    assert process.poll() is None
    process.kill()
    process.wait()


def test_another_machine_s_process_is_elsewhere_and_one_of_an_earlier_boot_gone():
    identity = ProcessIdentity.of(os.getpid())
    assert identity.model_copy(update={"host": "another"}).state() == "elsewhere"
    assert identity.model_copy(update={"boot": "earlier"}).state() == "gone"
    assert identity.model_copy(update={"namespace": "pid:[1]"}).state() == "elsewhere"


def test_telling_returns_those_that_do_not_end():
    process = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    identity = ProcessIdentity.of(process.pid)
    assert tell([identity], signal.SIGTERM, 0.2) == [identity]
    assert tell([identity], signal.SIGKILL, 30) == []
    process.wait()
    until(lambda: identity.handle() is None)
