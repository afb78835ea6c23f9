"""Keeps one worker process alive: starts it again after a death or a passing trouble, and passes on the wish to stop.

As a program: python -m eradio.study.supervisor --log FILE --note FILE -- COMMAND...
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from eradio.description import Description
from eradio.errors import EradioError, complain
from eradio.files import disk_error, read_json, write_json
from eradio.study.processes import end_with_parent
from eradio.study.restarts import ASKED, MEND, PASSED_ON, Rules, Tries, described, outcome, status_of

_TAIL_BYTES = 65536
_OWN = "eradio: "
_OTHERS = ("slurmstepd",)
"""Slurm's own lines stand in the same file, and are no words of the worker's."""

_SIGNALS = {*PASSED_ON, signal.SIGCHLD}


class Note(Description):
    """What a supervisor is doing, in a file that others read."""

    state: Literal["running", "waiting", "ended"]
    pid: int | None = None
    """The worker's process, while it runs."""
    starts: int
    status: int | None = None
    """Exit status, once it has ended for good."""
    told: int | None = None
    """The signal that asked it to stop."""
    words: str = ""
    """Why it waits or how it ended: a sentence."""
    when: str


def supervise(
    command: Sequence[str],
    rules: Rules,
    *,
    log: Path | None = None,
    note: Path | None = None,
    draw: Callable[[], float] = random.random,
) -> Note:
    """Run a command until it has ended for good.

    Meanwhile this process takes SIGTERM, SIGINT and SIGUSR2 as a wish to pass on, and its other threads must have
    blocked them; it sleeps until something happens. If this process itself is killed, the kernel kills the worker.

    Args:
        command: what to run, in this process's folder and environment.
        rules: when it is started again.
        log: where the worker's output is appended, and a sentence for each end; None for this process's own output,
            of which no last words can be read.
        note: a file that always says how things stand.
        draw: uniform numbers in [0, 1), for the waits.

    Returns:
        The last note. Its status is the worker's own; 1 if it was given up; 143 if it ended because it was asked to;
        128 + 9 if it had to be killed for that.

    Raises:
        EradioError: the command cannot be started, or the log cannot be written.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return _Supervisor(tuple(command), rules, log, note, draw).run()
    finally:
        while signal.sigtimedwait(_SIGNALS - before, 0):  # one that came too late must not end us now
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read_note(path: Path) -> Note | None:
    """What a supervisor wrote last, or None if it has written nothing (or it cannot be read)."""
    with suppress(EradioError):
        return Note.parse(read_json(path), str(path))
    return None


class _Supervisor:
    def __init__(
        self, command: tuple[str, ...], rules: Rules, log: Path | None, note: Path | None, draw: Callable[[], float]
    ) -> None:
        self._command, self._rules, self._log, self._note, self._draw = command, rules, log, note, draw
        self._starts = 0
        self._told: int | None = None
        self._killed = False

    def run(self) -> Note:
        tries = Tries()
        while True:
            began, offset = time.monotonic(), self._length()
            returncode = self._attend(self._start())
            what, words = outcome(returncode), self._last_words(offset, returncode)
            if self._killed:
                words = f"It had not ended {self._rules.patience:g} s after it was asked to, and was killed."
            if self._told is not None or what in ("done", "mend", "asked"):
                return self._ended(self._final(returncode), words)
            tries = tries.after(what, time.monotonic() - began, self._rules)
            if tries.deaths >= self._rules.deaths:
                times = f"{tries.deaths} times in a row" if tries.deaths > 1 else "once"
                return self._ended(MEND, f"The worker died {times}: {words} Mend what ends it, then run it again.")
            wait = tries.wait(self._rules, self._draw())
            self._say("waiting", f"{words} It starts again in {wait:.0f} s.")
            if self._asleep(wait):
                return self._ended(ASKED, "It was asked to stop while it waited to start again.")

    def _start(self) -> "subprocess.Popen[bytes]":
        parent = os.getpid()

        def begin() -> None:
            end_with_parent(parent, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

        self._starts += 1
        output = self._opened()
        try:
            # A group of its own: whatever the worker leaves behind is ended with it, and Ctrl-C reaches only us.
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                process_group=0,
                preexec_fn=begin,
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or error
            told = f"Cannot start {self._command[0]}: {reason}. Check that it is installed here."
            self._ended(MEND, told)
            raise EradioError(told) from None
        finally:
            if output is not None:
                output.close()
        self._say("running", "", process.pid)
        return process

    def _attend(self, process: "subprocess.Popen[bytes]") -> int:
        """Sleep until the worker has ended; pass on what comes meanwhile. Returns its return code."""
        deadline: float | None = None
        passed: set[int] = set()  # once each: a worker that is keeping what it did is not disturbed
        while not _has_ended(process):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                _signal_group(process, signal.SIGKILL)
                left = deadline = None
                self._killed = True
            number = _awaited(left)
            if number in PASSED_ON:
                self._told = self._told or number
                deadline = deadline or time.monotonic() + self._rules.patience
                if number not in passed:
                    os.kill(process.pid, number)  # not collected yet, so the number is still its own
                passed.add(number)
        # What it started and left behind; it is not collected yet, so the group is still its own.
        _signal_group(process, signal.SIGKILL)
        return process.wait()

    def _asleep(self, seconds: float) -> bool:
        """Wait; whether somebody asked to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            number = _awaited(left)
            if number in PASSED_ON:
                self._told = number
                return True
        return False

    def _final(self, returncode: int) -> int:
        return ASKED if outcome(returncode) == "passing" else status_of(returncode)

    def _ended(self, status: int, words: str) -> Note:
        return self._say("ended", words, status=status)

    def _say(
        self,
        state: Literal["running", "waiting", "ended"],
        words: str,
        pid: int | None = None,
        status: int | None = None,
    ) -> Note:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        said = Note(state=state, pid=pid, starts=self._starts, status=status, told=self._told, words=words, when=when)
        with suppress(EradioError, OSError):  # a full disk must not end a worker that does without it
            if self._note is not None:
                write_json(self._note, said.model_dump(mode="json"))
            if words:
                self._write(f"{when} supervisor: {words}\n")
        return said

    def _write(self, text: str) -> None:
        output = self._opened()
        if output is None:
            print(text, end="", file=sys.stderr, flush=True)
            return
        with output:
            output.write(text.encode())

    def _opened(self) -> BinaryIO | None:
        if self._log is None:
            return None
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            return self._log.open("ab")
        except OSError as error:
            raise disk_error(error, self._log) from None

    def _length(self) -> int:
        return self._log.stat().st_size if self._log is not None and self._log.exists() else 0

    def _last_words(self, offset: int, returncode: int) -> str:
        """The last line of what the worker wrote since it began at `offset` of the log."""
        if self._log is None:
            return described(returncode).replace(" and said nothing", "")
        with suppress(OSError), self._log.open("rb") as handle:
            handle.seek(max(offset, self._length() - _TAIL_BYTES))
            said = handle.read().decode("utf-8", "replace").strip().splitlines()
            lines = [line for line in said if not line.startswith(_OTHERS)]
            unexpected = outcome(returncode) == "mend" and "Traceback (most recent call last):" in lines
            if unexpected and not lines[-1].startswith(_OWN):
                return f"It failed unexpectedly ({lines[-1]}); the whole story is in {self._log}."
            if lines and outcome(returncode) != "death":
                return lines[-1]
        return described(returncode)


def _awaited(seconds: float | None) -> int:
    """The next signal, or 0 if none came in time."""
    if seconds is None:
        return signal.sigwaitinfo(_SIGNALS).si_signo
    found = signal.sigtimedwait(_SIGNALS, seconds)
    return 0 if found is None else found.si_signo


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it has, without collecting it: until then nothing else can have its number."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of a supervisor's command line, and the command after `--`."""
    parser = argparse.ArgumentParser(prog="python -m eradio.study.supervisor")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--note", type=Path)
    parser.add_argument("--rules", type=Rules.model_validate_json, default=Rules())
    parser.add_argument("--parent", type=int, help="a process whose end asks the worker to stop")
    at = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:at]), list(arguments[at + 1 :])
    if not command:
        parser.error("give the command to run after --")
    return options, command


def main(arguments: Sequence[str]) -> int:
    """Entry of the process; returns its exit status."""
    options, command = parsed(arguments)
    if options.parent is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            end_with_parent(options.parent, signal.SIGTERM)
        except ProcessLookupError:
            return ASKED
    try:
        status = supervise(command, options.rules, log=options.log, note=options.note).status
    except EradioError as error:
        complain(str(error))
        return MEND
    return MEND if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
