"""Batches of the schedule with their teachers' answers.

Pictures stay bytes until they reach a network, and answers are rounded to the stored type before anybody sees
them: so a batch computed live and one read from the cache are the same bits on one machine.
"""

import math
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from eradio.distill.data import Dataset
from eradio.distill.pages import Ahead, Page, Printer
from eradio.distill.recipe import Recipe
from eradio.distill.scales import Scale, Scales, measured_scales
from eradio.distill.squares import STUDENT, Shifts, shifts_at, squares_at
from eradio.distill.stored import rounded, single
from eradio.distill.teachers import Teacher, load_teacher
from eradio.distill.teachers.compiled import falling_back, half_type
from eradio.distill.teachers.spec import View
from eradio.distill.teachers.view import STRIDE, seen, tiles
from eradio.errors import EradioError
from eradio.features import Features

_PORTION = 64
"""Pictures: enough to keep a device busy, few enough for any memory."""

Guard = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Batch:
    """Pictures and the teachers' answers for them.

    pictures: uint8 [B, 3, R, R]. targets: by teacher, in the recipe's stored type. unreadable: names of files
    that were replaced by a neighbour so far. shifts: by teacher, how far its square of the pictures begins below and to
    the right of the student's, in patches; none where both see the same.
    """

    pictures: Tensor
    targets: dict[str, Features]
    unreadable: tuple[str, ...] = field(default=())
    shifts: Shifts = field(default_factory=dict)

    def cut(self, rows: slice) -> "Batch":
        """Some of its pictures with their targets."""
        targets = {name: one.each(lambda part: part[rows]) for name, one in self.targets.items()}
        return replace(self, pictures=self.pictures[rows], targets=targets)

    def to(self, device: str) -> "Batch":
        """The same on a device."""
        targets = {name: one.each(lambda part: part.to(device)) for name, one in self.targets.items()}
        return replace(self, pictures=self.pictures.to(device), targets=targets)

    def inputs(self) -> Tensor:
        """Pictures as networks take them: float32 in [0, 1], channels last in memory."""
        floats = self.pictures.to(torch.float32) / 255
        return floats.to(memory_format=torch.channels_last)

    def floats(self) -> dict[str, Features]:
        """The targets in float32, the type of the loss; maps channels last in memory, as the heads answer."""
        return {
            name: Features(
                None if answer.summary is None else single(answer.summary),
                single(answer.spatial.contiguous(memory_format=torch.channels_last)),
            )
            for name, answer in self.targets.items()
        }


class Targets(Protocol):
    """Where a training run gets its batches from."""

    @property
    def scales(self) -> Scales:
        """How the teachers' answers were balanced; empty where they were not."""
        ...

    def batch(self, page: Page) -> Batch:
        """The batch on one page of the schedule, or those rows of it that the page names."""
        ...


class LiveTargets:
    """Renders or decodes the pictures and asks the teachers, every time.

    Attributes:
        compiled: whether inductor compiles what the teachers compute, which changes its rounding.
        at_once: pictures of one forward pass of a teacher at most; None for the whole batch.
        ahead: where its pictures come from, and may be made before they are asked for.
        scales: how their answers are balanced; empty where they are not.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Dataset,
        validation: Dataset,
        guard: Guard = nullcontext,
        device: str = "cpu",
        compiled: bool = False,
        at_once: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.data = train, validation
        self.device = device
        self.compiled = compiled
        self.at_once = at_once
        self._at_work: set[Teacher] = set()
        self._guard = guard
        self.ahead = Ahead(Printer(recipe, train, validation))
        self.scales: Scales = {}

    @cached_property
    def teachers(self) -> tuple[Teacher, ...]:
        """The recipe's teachers, loaded at first use; those that are asked are on the device."""
        return tuple(load_teacher(spec) for spec in self.recipe.teachers)

    def batch(self, page: Page) -> Batch:
        """The batch on one page; training pages have the recipe's batch size, the last validation page may not."""
        return self.answered(page, self.recipe.teachers_of(page.partition))

    def answered(self, page: Page, names: Collection[str]) -> Batch:
        """The same with the answers of some teachers alone.

        Raises:
            EradioError: a teacher cannot look at these pictures as the recipe asks.
        """
        printed, squares = self.ahead.print(page), squares_at(self.recipe, page)
        answers = self._answers(page, printed.pictures, names)
        targets = {name: rounded(self._balanced(name, answer), self.recipe.stored) for name, answer in answers.items()}
        return Batch(
            self._square(page, printed.pictures, squares[STUDENT]).contiguous(),
            targets,
            printed.unreadable,
            shifts_at(self.recipe, page, names),
        )

    def exact(self, page: Page) -> dict[str, Features]:
        """What the teachers say of a page before it is rounded."""
        pictures, names = self.ahead.print(page).pictures, self.recipe.teachers_of(page.partition)
        return {name: self._balanced(name, one) for name, one in self._answers(page, pictures, names).items()}

    def balanced(self, scales: Scales) -> "LiveTargets":
        """The same teachers, their answers balanced."""
        other = copy(self)
        other.scales = scales
        return other

    def measured_scales(self, track: Callable[[list[Page]], Iterable[Page]] = iter) -> Scales:
        """How the recipe balances the teachers, from its first training pictures.

        Args:
            track: gives the pages of a partition in their order, and may tell how far they are.

        Raises:
            EradioError: a balance does not exist for a teacher.
        """
        found: dict[str, Scale] = {}
        for number, partition in enumerate(self.recipe.partitions):
            steps = range(-(-self.recipe.balance.pictures // partition.batch))
            portion = self.portion(Page("train", 0, number))
            portions = [range(row, min(row + portion, partition.batch)) for row in range(0, partition.batch, portion)]
            pages = [Page("train", step, number, rows) for step in steps for rows in portions]
            names = self.recipe.teachers_of(number)
            answers = (self._answers(page, self.ahead.print(page).pictures, names) for page in track(pages))
            found = measured_scales(self.recipe.balance, answers) | found
        return found

    def rest(self) -> None:
        """Take the teachers off the device until they are asked again."""
        for teacher in self._at_work:
            teacher.send("cpu")
        self._at_work.clear()

    def _answers(self, page: Page, pictures: Tensor, names: Collection[str]) -> dict[str, Features]:
        on_gpu = self.device == "cuda"
        squares, views = squares_at(self.recipe, page), self.recipe.views()
        found = {}
        half = torch.autocast(self.device, half_type(self.device), enabled=on_gpu)
        careful = falling_back() if self.compiled else nullcontext()
        with self._guard(), careful, torch.no_grad(), half:
            inputs = Batch(pictures.to(self.device), {}).inputs()
            for teacher in self.teachers:
                if teacher.name in names:
                    self._check(page, teacher, views[teacher.name])
                    square = self._square(page, inputs, squares[teacher.name])
                    found[teacher.name] = seen(self._working(teacher), square, views[teacher.name]).float()
        return found

    def _working(self, teacher: Teacher) -> Teacher:
        """The teacher where it can be asked; a process never asks those of other partitions than its own."""
        if teacher not in self._at_work:
            self._at_work.add(teacher)
            teacher.send(self.device)
            teacher.at_once = self.at_once
            if self.compiled:
                teacher.compile_features()
        return teacher

    def _check(self, page: Page, teacher: Teacher, view: View) -> None:
        """Pictures of one mosaic must be together, or it would be another mosaic; the last one may have fewer."""
        if view == "mosaic" and page.rows is not None:
            whole, batch = tiles(teacher, self.ahead.side(page)) ** 2, self.recipe.partitions[page.partition].batch
            last = page.part == "validation" or page.rows.stop == batch
            if page.rows.start % whole or (len(page.rows) % whole and not last):
                raise EradioError(
                    f"The mosaics of teacher '{teacher.name}' are of {whole} pictures, and the {len(page.rows)} of a "
                    "process are not whole mosaics. Change 'batch' in the recipe, or the number of processes."
                )

    def portion(self, page: Page) -> int:
        """About how many pictures of a page are asked for together where their number does not matter."""
        seen_by = [one for one in self.teachers if one.name in self.recipe.teachers_of(page.partition)]
        views = self.recipe.views()
        mosaics = [tiles(one, self.ahead.side(page)) ** 2 for one in seen_by if views[one.name] == "mosaic"]
        together = math.lcm(*mosaics)
        return together * max(1, _PORTION // together)

    def _square(self, page: Page, pictures: Tensor, offset: tuple[int, int]) -> Tensor:
        top, left = (STRIDE * patches for patches in offset)
        side = self.ahead.side(page)
        return pictures[:, :, top : top + side, left : left + side]

    def _balanced(self, name: str, answer: Features) -> Features:
        return self.scales[name].balance(answer) if name in self.scales else answer
