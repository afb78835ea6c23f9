"""The pages of a recipe's schedule, and the pictures on them."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import tee
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from eradio.distill.data import Dataset, crop_picture, stretches_of
from eradio.distill.readable import Readable
from eradio.distill.recipe import Recipe
from eradio.distill.schedule import Slot, side_at, slot, whole
from eradio.distill.stopping import SIGNALS
from eradio.distill.teachers.view import STRIDE
from eradio.errors import EradioError


class Page(NamedTuple):
    """One batch of the schedule: step `number` of training, or batch `number` of validation, of one partition."""

    part: str
    number: int
    partition: int = 0
    rows: range | None = None
    """Those pictures of the batch that are meant; None for all. The last page of validation says how many it has."""


class Printed(NamedTuple):
    """What stands on a page.

    pictures: uint8 [B, 3, R, R]; in training R is larger than the resolution by the recipe's shift. unreadable: names
    of files that were replaced by a neighbour so far.
    """

    pictures: Tensor
    unreadable: tuple[str, ...]


class Printer(torch_data.Dataset[Printed]):
    """Renders or decodes the pictures of any page: a pure function of the recipe, the data and the page."""

    def __init__(self, recipe: Recipe, train: Dataset, validation: Dataset) -> None:
        self._recipe = recipe
        self._data = {"train": train, "validation": validation}

    def __getitem__(self, page: Page) -> Printed:
        data, side = self._data[page.part], self.side(page) + margin(self._recipe, page)
        pictures = np.stack([crop_picture(data.picture(one.picture), one, side) for one in self._slots(page)])
        return Printed(torch.from_numpy(pictures), tuple(data.unreadable()) if isinstance(data, Readable) else ())

    def side(self, page: Page) -> int:
        """The resolution in pixels at which a page is seen."""
        partition = self._recipe.partitions[page.partition]
        if page.part == "train":
            return side_at(self._recipe.seed, page.number, partition, page.partition)
        return partition.resolution[0]

    def _slots(self, page: Page) -> list[Slot]:
        recipe, pictures = self._recipe, len(self._data[page.part])
        batch = recipe.partitions[page.partition].batch
        if page.part == "train":
            stretches = stretches_of(self._data[page.part])
            return [
                slot(
                    recipe.seed,
                    page.number,
                    place,
                    batch=batch,
                    pictures=pictures,
                    crop=recipe.crop,
                    partition=page.partition,
                    stretches=stretches,
                )
                for place in page.rows or range(batch)
            ]
        wanted, first = min(recipe.validation, pictures), page.number * batch
        rows = page.rows or range(min(batch, wanted - first))
        return [whole(first + row) for row in rows]


def margin(recipe: Recipe, page: Page) -> int:
    """Pixels by which what is printed is larger than what anybody sees of it."""
    return recipe.shift * STRIDE if page.part == "train" else 0


class _Careful(torch_data.Dataset[Printed | Exception]):
    """Gives what the user can mend as a value: what is raised in another process comes back as its traceback."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def __getitem__(self, page: Page) -> Printed | Exception:
        try:
            return self._printer[page]
        except (EradioError, OSError) as error:
            return error


class Ahead:
    """Prints pages in other processes before they are asked for."""

    def __init__(self, printer: Printer) -> None:
        self.side = printer.side
        self._printer = printer
        self._coming: Iterator[tuple[Page, Printed | Exception]] = iter(())
        self._next: tuple[Page, Printed | Exception] | None = None

    @contextmanager
    def of(self, pages: Iterable[Page], workers: int) -> Iterator[None]:
        """Meanwhile `workers` processes print these pages, in this order; none prints nothing ahead."""
        if workers:
            asked, wanted = tee(pages)
            loader = torch_data.DataLoader(
                _Careful(self._printer),
                batch_size=None,
                sampler=asked,
                num_workers=workers,
                prefetch_factor=2,
                worker_init_fn=_leave_signals,
            )
            self._coming = zip(wanted, loader, strict=True)
        try:
            yield
        finally:
            self._coming, self._next = iter(()), None

    def print(self, page: Page) -> Printed:
        """A page: the next one that was printed ahead, if it is that, or printed now."""
        if page.part == "train":
            self._next = self._next or next(self._coming, None)
            # Pages that were not asked for after all, since others had made them, are passed over.
            while self._next is not None and _place(self._next[0]) < _place(page):
                self._next = next(self._coming, None)
            if self._next is not None and self._next[0] == page:
                printed, self._next = self._next[1], None
                if isinstance(printed, Exception):
                    raise printed
                return printed
        return self._printer[page]


def _leave_signals(worker: int) -> None:
    """To the process that trains: clusters send them to every process, and it still needs what these print."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _place(page: Page) -> tuple[int, int]:
    return page.number, page.partition


def training_pages(recipe: Recipe, step: int) -> list[Page]:
    """The pages of a training step, one a partition; those of an earlier step where the recipe repeats its batches."""
    number = step % recipe.repeat if recipe.repeat else step
    return [Page("train", number, partition) for partition in range(len(recipe.partitions))]


def validation_pages(recipe: Recipe, pictures: int) -> list[Page]:
    """All of validation, partition after partition, given the number of pictures there are."""
    wanted, found = min(recipe.validation, pictures), []
    for place, partition in enumerate(recipe.partitions):
        whole, rest = divmod(wanted, partition.batch)
        found += [Page("validation", number, place) for number in range(whole)]
        found += [Page("validation", whole, place, range(rest))] if rest else []
    return found


def pages(recipe: Recipe, steps: range, validation_pictures: int) -> list[Page]:
    """The training pages of some steps, each once, after all of validation."""
    training = dict.fromkeys(page for step in steps for page in training_pages(recipe, step))
    return [*validation_pages(recipe, validation_pictures), *training]
