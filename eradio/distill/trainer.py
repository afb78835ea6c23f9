"""Teaching one student for one rung: resumable, and the same whether or not it was interrupted."""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from eradio.distill.average import MovingAverage
from eradio.distill.checkpoint import Checkpoint, CheckpointFolder
from eradio.distill.courses import Course, taught_alone
from eradio.distill.grouped_norm import has_norms, settle_norms
from eradio.distill.lesson import Lesson
from eradio.distill.pages import Page, training_pages
from eradio.distill.processes import any_of, sums_of, together, union_of, wait_for_all
from eradio.distill.recipe import Recipe
from eradio.distill.schedule import decay_start, drawn_side, learning_rate
from eradio.distill.setting import Setting, Share
from eradio.distill.stopping import StoppedError
from eradio.distill.student import Student, forget_activations, optimiser_for
from eradio.distill.targets import Batch, Targets
from eradio.distill.vit import VitTraining

_POINTS = 5000
"""A curve that is kept in every checkpoint has no more, or twice as many, points."""

Guard = Callable[[], AbstractContextManager[None]]
Watcher = Callable[[int, float], None]


class DivergedError(Exception):
    """The loss is no longer a finite number; the text says at which step."""


@dataclass(frozen=True)
class Outcome:
    """What a rung gave: the training curve, and the validation loss in whole and by head."""

    steps: int
    curve: tuple[tuple[int, float, float], ...]
    loss: float
    parts: dict[str, float]
    unreadable: tuple[str, ...]


class Trainer:
    """Takes a student along the shared schedule, from its checkpoint if there is one.

    Attributes:
        losses: of the last step, by name.

    Raises:
        EradioError: the batches cannot be cut as the setting asks.
    """

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        targets: Targets,
        validation: Sequence[Page],
        setting: Setting | None = None,
    ) -> None:
        self._setting = setting or Setting()
        self._recipe = recipe
        self._targets = targets
        self._student = student.to(self._setting.device).to(memory_format=torch.channels_last)
        self._shares = self._setting.shares(recipe, norms=has_norms(student.backbone))
        self._own = {share.partition: len(share.rows) for share in self._shares}
        self._validation = [page for share in self._shares for page in share.pages(validation)]
        if self._setting.checkpointing:
            forget_activations(student.backbone)
        self._vit = VitTraining(student.backbone, recipe.vit, recipe.seed)
        self._lesson = Lesson(student, recipe, targets.scales)
        self._parallel = _parallel(self._lesson) if together() else None
        self._weights = recipe.loss_weights()
        self._optimiser = optimiser_for(student, recipe.optimiser)
        self._average = None if recipe.average is None else MovingAverage(student, recipe.average)
        self.losses: dict[str, float] = {}
        self._step = 0
        self._curve: list[tuple[int, float, float]] = []
        self._unreadable: set[str] = set()

    def begin(self, steps: int, kept: CheckpointFolder) -> int:
        """Take up a rung where its last checkpoint, or the trunk of a shorter one, left it; the steps done."""
        if self._step == 0:
            self._resume(kept.latest(steps, decay_start(steps, self._recipe.optimiser)))
            wait_for_all()  # until all have read, nobody writes
        return self._step

    def run(
        self,
        steps: int,
        kept: CheckpointFolder,
        *,
        guard: Guard = nullcontext,
        watch: Watcher | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train to `steps` and validate. See `course`."""
        course = self.course(steps, kept, guard=guard, watch=watch, stop=stop)
        return taught_alone(course, self._targets)

    def course(
        self,
        steps: int,
        kept: CheckpointFolder,
        *,
        guard: Guard = nullcontext,
        watch: Watcher | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Course[Outcome]:
        """The training to `steps`, then validation; where the recipe averages, the student ends with its averages.

        Args:
            steps: length of the rung; a checkpoint of this rung or the trunk of a shorter one is continued.
            kept: where checkpoints go.
            guard: held around each step, so that nothing is measured meanwhile.
            watch: called after each step with the number of steps done and the loss.
            stop: asked after each step whether to keep what is done and end.

        Raises:
            StoppedError: it was asked to.
            DivergedError: the loss stopped being finite.
            EradioError: a batch could not be made, or a checkpoint could not be written.
        """
        trunk = decay_start(steps, self._recipe.optimiser)
        self.begin(steps, kept)
        while self._step < steps:
            if self._step == trunk > 0:
                kept.save_trunk(self._checkpoint(steps))
            pages = training_pages(self._recipe, self._step)
            batches = {}
            for share in self._shares:
                batches[share] = yield share.of(pages[share.partition])
            with guard():
                loss = self.step(batches, steps)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss was {loss} at step {self._step}")
            if watch:
                watch(self._step, loss)
            stopped = any_of(stop(), self._setting.device)
            if stopped or self._step == steps or kept.due():
                kept.save(self._checkpoint(steps))
            if stopped:
                raise StoppedError(self._step)
        if self._average is not None:
            self._average.apply()
            self._vit.settle()
        parts = yield from self._validated(guard)
        self._vit.finish()
        loss = sum(self._weights[name] * part for name, part in parts.items())
        return Outcome(steps, tuple(self._curve), loss, parts, tuple(sorted(union_of(self._unreadable))))

    def step(self, batches: Mapping[Share, Batch], steps: int) -> float:
        """Take one step of a rung of `steps` and return its loss, by the teachers' fixed weights."""
        rate = learning_rate(self._step, steps, self._recipe.optimiser)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._student.train()
        if self._recipe.optimiser.frozen:
            self._student.backbone.requires_grad_(self._step >= self._recipe.optimiser.frozen)
        self._optimiser.zero_grad(set_to_none=True)
        self._vit.begin_step(self._step)
        with self._drawing():
            seen = self._learnt(batches)
        self._optimiser.step()
        settle_norms(self._student)
        own = dict(zip(seen, torch.stack(list(seen.values())).tolist(), strict=True))
        losses = sums_of(own, list(self._weights), self._setting.device)
        self._student.sum.observe(losses)
        if self._average is not None:
            self._average.update()
        self._step += 1
        value = sum(self._weights[name] * loss for name, loss in losses.items())
        self.losses = losses
        if self._step % max(1, steps // _POINTS) == 0:
            self._curve.append((self._step, value, rate))
        return value

    def _learnt(self, batches: Mapping[Share, Batch]) -> dict[str, Tensor]:
        """Add the gradients of a step's batches, and return the losses by name."""
        seen: dict[str, Tensor] = {}
        for share, batch in batches.items():
            batch, pieces = batch.to(self._setting.device), self._setting.pieces(len(share.rows), len(share.rows))
            other = self._other_side(share)
            for number, rows in enumerate(pieces):
                last = number == len(pieces) - 1
                for name, loss in self._learn(batch.cut(rows), share, last=last, other=other).items():
                    seen[name] = seen.get(name, 0) + loss
            self._unreadable.update(batch.unreadable)
        return seen

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """What a network draws in a step (dropped paths, say) follows from the seed, the step and the process alone."""
        key = f"{self._recipe.seed}/{self._step}/{self._setting.rank}"
        own = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 2**63
        devices = [torch.cuda.current_device()] if self._setting.device == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(own)
            yield

    def _other_side(self, share: Share) -> int | None:
        """At which side the student looks once more at the pictures of this step, where its maps are aligned."""
        alignment, recipe = self._recipe.alignment, self._recipe
        if alignment is None:
            return None
        return drawn_side(recipe.seed, self._step, share.partition, alignment.resolution)

    def _learn(self, piece: Batch, share: Share, *, last: bool, other: int | None) -> dict[str, Tensor]:
        """Add one piece's gradient, and return its part of each loss."""
        part = len(piece.pictures) / share.batch
        module = self._parallel or self._lesson
        with nullcontext() if last or self._parallel is None else self._parallel.no_sync():
            total, losses = module(piece.inputs(), piece.floats(), share.partition, piece.shifts, other)
            # Gradients of several processes become their mean, but each has its own part of the sum.
            (self._setting.processes * part * total).backward()
        return {name: part * loss.detach() for name, loss in losses.items()}

    def validate(self, guard: Guard = nullcontext) -> dict[str, float]:
        """Mean loss of every head over the validation pictures, in evaluation mode."""
        return taught_alone(self._validated(guard), self._targets)

    def _validated(self, guard: Guard) -> Course[dict[str, float]]:
        sums: dict[str, float] = {}
        pictures: dict[str, float] = {}
        for page in self._validation:
            # Not inside the guard: live targets hold it for themselves, and to hold it twice may wait for ever.
            batch = (yield page).to(self._setting.device)
            self._student.eval()
            for rows in self._setting.pieces(len(batch.pictures), self._own[page.partition]):
                piece = batch.cut(rows)
                with guard(), torch.no_grad():
                    _, losses = self._lesson(piece.inputs(), piece.floats(), page.partition, piece.shifts)
                for name, loss in losses.items():
                    sums[name] = sums.get(name, 0.0) + loss.item() * len(piece.pictures)
                    pictures[name] = pictures.get(name, 0) + len(piece.pictures)
            self._unreadable.update(batch.unreadable)
        names = list(self._weights)
        sums, pictures = (sums_of(one, names, self._setting.device) for one in (sums, pictures))
        means = {name: total / pictures[name] for name, total in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise DivergedError(f"the validation loss is not finite after {self._step} steps")
        return means

    def _checkpoint(self, steps: int) -> Checkpoint:
        return Checkpoint(
            steps=steps,
            step=self._step,
            student=self._student.state_dict(),
            optimiser=self._optimiser.state_dict(),
            average=None if self._average is None else self._average.values,
            curve=tuple(self._curve),
            unreadable=tuple(sorted(self._unreadable)),
        )

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        self._student.load_state_dict(checkpoint.student)
        self._optimiser.load_state_dict(checkpoint.optimiser)
        if self._average is not None and checkpoint.average is not None:
            self._average.resume(checkpoint.average, checkpoint.step)
        self._step = checkpoint.step
        self._curve = list(checkpoint.curve)
        self._unreadable = set(checkpoint.unreadable)


def _parallel(lesson: Lesson) -> DistributedDataParallel:
    """Gradients become those of all processes; heads of other partitions' teachers have no part in this one's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of an option's new name, which older versions do not know
        return DistributedDataParallel(lesson, find_unused_parameters=True, broadcast_buffers=False)
