"""Random members of a space without a study: a trial that draws uniformly."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from eradio.search_space.architecture import Architecture
from eradio.search_space.space import SearchSpace


class RandomTrial:
    """Answers every question of a space by a uniform draw; a pure function of the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        return self._random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """One of low, low + step, ..., high."""
        return self._random.randrange(low, high + 1, step)


def sample(space: SearchSpace, seed: int = 0) -> Iterator[Architecture]:
    """Distinct members until none is found any more, each a pure function of the seed and its place.

    The members are uniform over each choice, not over the space: a kind with many knobs is not drawn more often.
    """
    seen: set[str] = set()
    place = misses = 0
    while misses < 1000:
        architecture = space.suggest(RandomTrial(seed * 1_000_003 + place))
        place += 1
        if architecture.digest() in seen:
            misses += 1
            continue
        misses = 0
        seen.add(architecture.digest())
        yield architecture
