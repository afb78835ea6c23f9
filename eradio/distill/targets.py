"""Batches of the schedule with their teachers' answers.

Pictures stay bytes until they reach a network, and answers are rounded to the stored type before anybody sees
them: so a batch computed live and one read from the cache are the same bits on one machine.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from eradio.distill.data import Dataset, FolderPictures, crop_picture
from eradio.distill.recipe import Recipe
from eradio.distill.scales import Scales, measured_scales
from eradio.distill.schedule import Slot, slot, whole
from eradio.distill.teachers import Teacher, load_teacher
from eradio.features import Features

Guard = Callable[[], AbstractContextManager[None]]


class Page(NamedTuple):
    """One batch of the schedule: step `number` of training, or batch `number` of validation."""

    part: str
    number: int


@dataclass(frozen=True)
class Batch:
    """Pictures and the teachers' answers for them.

    pictures: uint8 [B, 3, R, R]. targets: by teacher, in the recipe's stored type. unreadable: names of files
    that were replaced by a neighbour so far.
    """

    pictures: Tensor
    targets: dict[str, Features]
    unreadable: tuple[str, ...] = field(default=())

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
        """The batch on one page of the schedule."""
        ...


class LiveTargets:
    """Renders or decodes the pictures and asks the teachers, every time.

    Attributes:
        scales: how their answers are balanced; empty where they are not.
    """

    def __init__(self, recipe: Recipe, train: Dataset, validation: Dataset, guard: Guard = nullcontext) -> None:
        self._recipe = recipe
        self._data = {"train": train, "validation": validation}
        self._guard = guard
        self.scales: Scales = {}

    @cached_property
    def teachers(self) -> tuple[Teacher, ...]:
        """The recipe's teachers, loaded at first use."""
        return tuple(load_teacher(spec) for spec in self._recipe.teachers)

    def batch(self, page: Page) -> Batch:
        """The batch on one page; training pages have the recipe's batch size, the last validation page may not."""
        data = self._data[page.part]
        pictures = self._pictures(page)
        targets = {name: self._rounded(name, answer) for name, answer in self._answers(pictures).items()}
        return Batch(pictures, targets, tuple(data.unreadable()) if isinstance(data, FolderPictures) else ())

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
        balance, batch = self._recipe.balance, self._recipe.batch
        numbers = range(-(-balance.pictures // batch))

        def answers() -> Iterator[dict[str, Features]]:
            for number in numbers:
                yield self._answers(self._pictures(Page("train", number)))

        return measured_scales(balance, answers())

    def _pictures(self, page: Page) -> Tensor:
        data = self._data[page.part]
        squares = [crop_picture(data.picture(s.picture), s, self._recipe.resolution) for s in self._slots(page)]
        return torch.from_numpy(np.stack(squares))

    def _answers(self, pictures: Tensor) -> dict[str, Features]:
        with self._guard(), torch.no_grad():
            inputs = Batch(pictures, {}).inputs()
            return {teacher.name: teacher(inputs) for teacher in self.teachers}

    def _slots(self, page: Page) -> list[Slot]:
        recipe, pictures = self._recipe, len(self._data[page.part])
        places = range(recipe.batch)
        if page.part == "train":
            return [
                slot(recipe.seed, page.number, place, batch=recipe.batch, pictures=pictures, crop=recipe.crop)
                for place in places
            ]
        wanted = min(recipe.validation, pictures)
        numbers = (page.number * recipe.batch + place for place in places)
        return [whole(number) for number in numbers if number < wanted]

    def _rounded(self, name: str, answer: Features) -> Features:
        if name in self.scales:
            answer = self.scales[name].balance(answer)
        kind = getattr(torch, self._recipe.stored)
        summary = None if answer.summary is None else answer.summary.to(kind).contiguous()
        return Features(summary, answer.spatial.to(kind).contiguous())


def training_page(recipe: Recipe, step: int) -> Page:
    """The page of a training step: its own, or that of an earlier step where the recipe repeats its batches."""
    return Page("train", step % recipe.repeat if recipe.repeat else step)


def pages(recipe: Recipe, steps: range, validation_pictures: int) -> list[Page]:
    """The training pages of some steps, each once, after all of validation."""
    batches = -(-min(recipe.validation, validation_pictures) // recipe.batch)
    training = list(dict.fromkeys(training_page(recipe, step) for step in steps))
    return [*(Page("validation", number) for number in range(batches)), *training]
