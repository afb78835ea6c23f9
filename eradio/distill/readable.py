"""Pictures of which some cannot be read: each such one is replaced by its next readable neighbour."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from eradio.distill.decode import Pixels
from eradio.distill.order import Stretches
from eradio.errors import EradioError

_PASSING = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})
"""What the system answers when it cannot read for now, whatever the file holds."""

_FEW = 20
"""So many unreadable pictures are no sign of anything."""


class Source(Protocol):
    """Pictures as they are stored, by number."""

    @property
    def place(self) -> str:
        """What a message calls all of them."""
        ...

    @property
    def digest(self) -> str:
        """Changes whenever any picture may have changed."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """What a message calls picture `number`."""
        ...

    def read(self, number: int) -> Pixels:
        """Picture `number` as [H, W, 3].

        Raises:
            Exception: it cannot be decoded; any.
        """
        ...

    def look(self, number: int) -> None:
        """Open picture `number` without decoding it.

        Raises:
            Exception: it is no picture; any.
        """
        ...


@dataclass
class _Tally:
    """What is known of a source's pictures: how many were looked at, and which cannot be read."""

    seen: int = 0
    bad: set[int] = field(default_factory=set)


class Readable:
    """Some pictures of a source, as a data set.

    Args:
        source: where they are stored.
        numbers: the pictures.
        others: pictures of the same source that take their place where none of `numbers` can be read.
        most: share of the pictures seen so far that may be unreadable.
        stretches: how many are stored together, one stretch after another; all are if it is None.
    """

    def __init__(
        self,
        source: Source,
        numbers: Sequence[int],
        others: Sequence[int] = (),
        most: float = 1.0,
        stretches: Stretches | None = None,
    ) -> None:
        self._source = source
        self._numbers = numbers
        self._others = others
        self._most = most
        self._tally = _Tally()
        self.stretches = stretches or Stretches((len(numbers),))

    def turned(self) -> "Readable":
        """The others as a data set, whose place these take; what is known of either is known of both."""
        found = Readable(self._source, self._others, self._numbers, self._most)
        found._tally = self._tally
        return found

    @property
    def digest(self) -> str:
        """Changes whenever any picture may have changed."""
        return self._source.digest

    def __len__(self) -> int:
        return len(self._numbers)

    def picture(self, index: int) -> Pixels:
        """Picture `index` as [H, W, 3], or that of the next one that can be read.

        Raises:
            EradioError: no picture can be read, or too many cannot.
            OSError: the system failed to read, whatever the file holds.
        """
        count = len(self._numbers)
        neighbours = (self._numbers[(index + offset) % count] for offset in range(count))
        for number in chain(neighbours, self._others):
            if number not in self._tally.bad:
                self._tally.seen += 1
                try:
                    return self._source.read(number)
                except Exception as error:  # a decoder meets a hostile file with anything
                    self._note(number, error)
        raise self._none_readable()

    def unreadable(self) -> list[str]:
        """Names of the unreadable pictures met so far."""
        own = sorted(number for number in self._tally.bad if number not in self._others)
        return [self._source.name(number) for number in own]

    def check(self) -> list[str]:
        """Open every picture and return the names of those that are none.

        Raises:
            EradioError: none is a picture, nor any that could take its place, or too many are not.
            OSError: the system failed to read, whatever the file holds.
        """
        for number in chain(self._numbers, self._others):
            self._tally.seen += 1
            try:
                self._source.look(number)
            except Exception as error:
                self._note(number, error)
        if self._tally.bad.issuperset(chain(self._numbers, self._others)):
            raise self._none_readable()
        return self.unreadable()

    def _note(self, number: int, error: Exception) -> None:
        """Remember a file as no picture; a failure that may pass would give each process substitutes of its own."""
        if isinstance(error, MemoryError | EradioError) or (isinstance(error, OSError) and error.errno in _PASSING):
            raise error
        self._tally.bad.add(number)
        allowed, bad = max(_FEW, self._most * self._tally.seen), len(self._tally.bad)
        if allowed < bad < len(self._numbers) + len(self._others):
            raise EradioError(
                f"{bad} pictures of {self._source.place} cannot be read, more than 'unreadable' in the "
                f"recipe allows; the last is {self._source.name(number)} ({error}). Look at them, or raise it."
            )

    def _none_readable(self) -> EradioError:
        every = [*self._numbers[:3], *self._others[:3]][:3]
        more = len(self._numbers) + len(self._others) - len(every)
        names = ", ".join(map(self._source.name, every)) + (f" and {more} more" if more else "")
        return EradioError(f"No readable picture in {self._source.place}: not {names}. Replace or remove the files.")
