"""Batches of the schedule with their teachers' answers.

Pictures stay bytes until they reach a network, and answers are rounded to the stored type before anybody sees
them: so a batch computed live and one read from the cache are the same bits on one machine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from eradio.distill.data import Dataset
from eradio.distill.pages import Ahead, Page, Printer
from eradio.distill.recipe import Recipe
from eradio.distill.scales import Scale, Scales, measured_scales
from eradio.distill.teachers import Teacher, load_teacher
from eradio.features import Features

Guard = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Batch:
    """Pictures and the teachers' answers for them.

    pictures: uint8 [B, 3, R, R]. targets: by teacher, in the recipe's stored type. unreadable: names of files
    that were replaced by a neighbour so far.
    """

    pictures: Tensor
    targets: dict[str, Features]
    unreadable: tuple[str, ...] = field(default=())

    def cut(self, rows: slice) -> "Batch":
        """Some of its pictures with their targets."""
        targets = {name: one.each(lambda part: part[rows]) for name, one in self.targets.items()}
        return Batch(self.pictures[rows], targets, self.unreadable)

    def to(self, device: str) -> "Batch":
        """The same on a device."""
        targets = {name: one.each(lambda part: part.to(device)) for name, one in self.targets.items()}
        return Batch(self.pictures.to(device), targets, self.unreadable)

    def inputs(self) -> Tensor:
        """Pictures as networks take them: float32 in [0, 1], channels last in memory."""
        floats = self.pictures.to(torch.float32) / 255
        return floats.to(memory_format=torch.channels_last)

    def floats(self) -> dict[str, Features]:
        """The targets in float32, the type of the loss; maps channels last in memory, as the heads answer."""
        return {
            name: Features(
                None if answer.summary is None else answer.summary.float(),
                answer.spatial.contiguous(memory_format=torch.channels_last).float(),
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
    ) -> None:
        self._recipe = recipe
        self._guard = guard
        self._device = device
        self.ahead = Ahead(Printer(recipe, train, validation))
        self.scales: Scales = {}

    @cached_property
    def teachers(self) -> tuple[Teacher, ...]:
        """The recipe's teachers, loaded at first use."""
        return tuple(load_teacher(spec).to(self._device) for spec in self._recipe.teachers)

    def batch(self, page: Page) -> Batch:
        """The batch on one page; training pages have the recipe's batch size, the last validation page may not."""
        printed = self.ahead.print(page)
        answers = self._answers(printed.pictures, page.partition)
        targets = {name: self._rounded(name, answer) for name, answer in answers.items()}
        return Batch(printed.pictures, targets, printed.unreadable)

    def balanced(self, scales: Scales) -> "LiveTargets":
        """The same teachers, their answers balanced."""
        other = copy(self)
        other.scales = scales
        return other

    def measured_scales(self) -> Scales:
        """How the recipe balances the teachers, from its first training pictures.

        Raises:
            EradioError: a balance does not exist for a teacher.
        """
        found: dict[str, Scale] = {}
        for number, partition in enumerate(self._recipe.partitions):
            steps = range(-(-self._recipe.balance.pictures // partition.batch))
            pages = [Page("train", step, number) for step in steps]
            answers = (self._answers(self.ahead.print(page).pictures, number) for page in pages)
            found = measured_scales(self._recipe.balance, answers) | found
        return found

    def _answers(self, pictures: Tensor, partition: int) -> dict[str, Features]:
        wanted = self._recipe.teachers_of(partition)
        on_gpu = self._device == "cuda"
        with self._guard(), torch.no_grad(), torch.autocast(self._device, torch.bfloat16, enabled=on_gpu):
            inputs = Batch(pictures.to(self._device), {}).inputs()
            return {teacher.name: teacher(inputs).float() for teacher in self.teachers if teacher.name in wanted}

    def _rounded(self, name: str, answer: Features) -> Features:
        if name in self.scales:
            answer = self.scales[name].balance(answer)
        kind = getattr(torch, self._recipe.stored)
        return answer.each(lambda part: part.to(kind).contiguous())
