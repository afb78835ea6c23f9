"""How a worker ended, and whether and when it is started again: decisions, without processes or clocks."""

import signal
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from eradio.description import Description

DONE, MEND, PASSING, ASKED = 0, 1, 75, 143
"""A worker's exit statuses: nothing left to do; the user must mend something; something passing, such as a database
that does not answer (EX_TEMPFAIL); it was asked to stop, and has kept what it did."""

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
"""Signals that ask a worker to stop."""

Outcome = Literal["done", "mend", "passing", "asked", "death"]


class Rules(Description):
    """When a worker is started again; all times in seconds."""

    first_wait: float = Field(1.0, ge=0, description="before the first start again; each further wait is twice as long")
    longest_wait: float = Field(120.0, gt=0)
    healthy: float = Field(300.0, ge=0, description="one that ran so long had begun well: counting begins anew")
    deaths: int = Field(
        6, ge=1, description="so many deaths in a row, none after a healthy stretch, and it is given up"
    )
    patience: float = Field(60.0, gt=0, description="for a worker that was asked to stop; then it is killed")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest_wait < self.first_wait:
            raise ValueError("longest_wait must not be shorter than first_wait")
        return self


@dataclass(frozen=True)
class Tries:
    """Ends in a row, none of them after a healthy stretch."""

    ends: int = 0
    deaths: int = 0

    def after(self, what: Outcome, ran: float, rules: Rules) -> "Tries":
        """The count after a further end of a worker that ran for so many seconds."""
        before = Tries() if ran >= rules.healthy else self
        return Tries(before.ends + 1, before.deaths + (what == "death"))

    def wait(self, rules: Rules, draw: float) -> float:
        """Seconds until the next start.

        Args:
            rules: the rules.
            draw: uniform in [0, 1); it takes up to half of the wait away, so that the workers of a cluster do not all
                come back to a database in the same second.
        """
        longest = min(rules.longest_wait, rules.first_wait * 2.0 ** min(self.ends - 1, 60))
        return longest * (1 - draw / 2)


def outcome(returncode: int) -> Outcome:
    """What a return code means; negative for a signal, as `subprocess` has it, or 128 + signal, as shells do."""
    number = -returncode if returncode < 0 else returncode - 128
    if number in PASSED_ON:
        return "asked"
    if number > 0:
        return "death"
    return {DONE: "done", PASSING: "passing"}.get(returncode, "mend")  # type: ignore[return-value]


def status_of(returncode: int) -> int:
    """The exit status by which another process learns of a return code."""
    what = outcome(returncode)
    return ASKED if what == "asked" else 128 - returncode if returncode < 0 else returncode


def described(returncode: int) -> str:
    """An end in words, for want of words of its own."""
    if outcome(returncode) == "asked":
        return "It was asked to stop, and ended."
    number = -returncode if returncode < 0 else returncode - 128
    if number > 0:
        known = number in {one.value for one in signal.Signals}
        name = signal.Signals(number).name if known else f"signal {number}"
        hint = ", as the kernel does when memory is short" if number == signal.SIGKILL else ""
        return f"It was ended by {name}{hint}."
    return f"It ended with status {returncode} and said nothing."
