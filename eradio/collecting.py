"""Making much that stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, to_the_end: bool = False) -> Iterator[None]:
    """Meanwhile no garbage is looked for.

    Where many thousand objects are made that all stay, Python searches them for garbage again and again, which takes as
    long as making them.

    Args:
        to_the_end: whether it is the last that the process does: what is left is not looked at when it ends either.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if to_the_end:
            gc.freeze()
        if before:
            gc.enable()
