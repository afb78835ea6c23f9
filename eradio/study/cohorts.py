"""Which of the candidates that a worker holds are taught next, and how many together.

Targets that are shared cost as much for one student as for many. So a worker holds on to the survivors of a rung until
there are enough of them for a cohort, whichever cohorts they come from; else the dearest rung would be taught one by
one.
"""

from collections.abc import Sequence


def next_rung(waiting: Sequence[int], size: int, more: bool) -> int | None:
    """The rung that is taught next; None if nobody waits and nobody new can be had.

    The longest rung with a whole cohort comes first, so that no more candidates are held than needed. When nobody new
    can be had, the shortest comes first, since its survivors may join those of the next.

    Args:
        waiting: how many candidates that this worker holds wait for each rung, the shortest first.
        size: of a cohort.
        more: whether new candidates can be had for the shortest rung.
    """
    whole = [rung for rung, count in enumerate(waiting) if count >= size]
    if whole:
        return max(whole)
    if more:
        return 0
    return next((rung for rung, count in enumerate(waiting) if count), None)
