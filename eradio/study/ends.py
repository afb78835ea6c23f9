"""How a trial ends, and which ends are worth another attempt."""

from typing import Literal, TypeAlias

End: TypeAlias = Literal[
    "complete",
    "halted",
    "infeasible",
    "duplicate",
    "surplus",
    "diverged",
    "out-of-memory",
    "build-failed",
    "failed",
    "pre-empted",
    "lost",
]
"""
complete: taught to the last rung. halted: judged at an earlier one. infeasible: it cannot be built, or does not keep a
constraint. duplicate: another trial has the same network. surplus: drawn by two workers for one open place. diverged:
its loss stopped being finite. out-of-memory, build-failed: by the engine or in training. failed: in another way of its
own. pre-empted: its worker could not go on, mostly since it was told to stop, and handed it back. lost: its worker gave
no sign of life.
"""

MOST_LOST = 3
"""Attempts of one candidate that may be lost without its training having been taken up further on: what kills its
worker so often, most likely for want of memory, does not pass. One that is taken up further on each time, from a
checkpoint that an attempt before it reached, is on machines that come and go."""


def worth_another(end: str | None, lost: int) -> bool:
    """Whether a trial that ended so is tried again.

    Args:
        end: its code; None where its worker was ended while it wrote one down.
        lost: attempts at it that were lost since its training was last taken up further on, this one included.
    """
    return end == "pre-empted" or (end in (None, "lost", "complete", "halted") and lost < MOST_LOST)
