"""Waiting for a storage that does not answer at the moment."""

import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from eradio.errors import StorageDownError
from eradio.study.address import Address
from eradio.study.refusals import storage_refusals

Answer = TypeVar("Answer")
Given = ParamSpec("Given")
Own = TypeVar("Own", bound="Patient")

_FIRST_SECONDS, _LONGEST_SECONDS = 0.2, 15.0

# Not the seeded generator: what a study draws must not depend on how often its storage was away.
_JITTER = random.SystemRandom()


def patiently(
    call: Callable[[], Answer],
    *,
    seconds: float,
    address: Address | None = None,
    told: Callable[[StorageDownError], object] = lambda error: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """Repeat a call for as long as its storage does not answer, ever more seldom.

    Args:
        call: must do no harm when it is done twice, since a storage may have done it and only the answer was lost.
        seconds: how long to go on trying; the last try is made at that time.
        address: whose libraries' errors `call` lets through; None where it raises sentences already.
        told: hears of the first refusal, so that somebody can say why nothing goes on.
        clock: the time in seconds.
        sleep: waits for so many seconds.

    Raises:
        StorageDownError: the storage has not answered for `seconds`.
    """
    deadline, pause, first = clock() + seconds, _FIRST_SECONDS, True
    while True:
        try:
            with storage_refusals(address) if address is not None else nullcontext():
                return call()
        except StorageDownError as error:
            left = deadline - clock()
            if left <= 0:
                raise
            if first:
                told(error)
                first = False
        # Between half and the whole of the pause, so that workers that were cut off together do not come back as one.
        sleep(min(left, pause * _JITTER.uniform(0.5, 1.0)))
        pause = min(2 * pause, _LONGEST_SECONDS)


class Patience(Protocol):
    """How a call to the storage is made."""

    def __call__(self, call: Callable[[], Answer]) -> Answer:
        """Make it, and give its answer."""
        ...


class Patient(Protocol):
    """Somebody whose calls to the storage are made with patience."""

    patience: Patience


def once(call: Callable[[], Answer]) -> Answer:
    """Without any patience."""
    return call()


def patient(method: Callable[Concatenate[Own, Given], Answer]) -> Callable[Concatenate[Own, Given], Answer]:
    """A method that does no harm when it is done twice, made with the patience of whose it is."""

    @wraps(method)
    def made(self: Own, /, *given: Given.args, **named: Given.kwargs) -> Answer:
        return self.patience(lambda: method(self, *given, **named))

    return made
