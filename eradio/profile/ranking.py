"""Which networks are faster than which, as far as their intervals tell."""

from collections.abc import Sequence

from eradio.description import Description
from eradio.interval import Interval


class Rank(Description):
    """The places that a network may have among those measured with it; 1 is the fastest."""

    best: int
    worst: int

    def words(self) -> str:
        """`2`, or `2-4` where intervals overlap."""
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


def ranks(ratios: Sequence[Interval]) -> tuple[Rank, ...]:
    """Ranks by throughput; networks whose intervals overlap are not ranked against each other.

    Args:
        ratios: throughput over the canary's, from one run.
    """
    return tuple(
        Rank(
            best=1 + sum(other.low > one.high for other in ratios),
            worst=len(ratios) - sum(other.high < one.low for other in ratios),
        )
        for one in ratios
    )
