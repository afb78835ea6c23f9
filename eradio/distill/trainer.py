"""Teaching one student for one rung: resumable, and the same whether or not it was interrupted."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eradio.distill.checkpoint import Checkpoint, CheckpointFolder
from eradio.distill.heads import Heads, TeacherShape
from eradio.distill.losses import distillation_losses
from eradio.distill.recipe import Recipe
from eradio.distill.schedule import decay_start, learning_rate
from eradio.distill.targets import Batch, Page, Targets, training_page
from eradio.distill.weighting import FixedSum, loss_sum
from eradio.features import Features

Guard = Callable[[], AbstractContextManager[None]]
Watcher = Callable[[int, float], None]


class DivergedError(Exception):
    """The loss is no longer a finite number; the text says at which step."""


class Student(nn.Module):
    """A backbone with its adaptor heads: what a recipe trains."""

    def __init__(self, backbone: nn.Module, teachers: tuple[TeacherShape, ...], recipe: Recipe) -> None:
        super().__init__()
        self.backbone = backbone
        widths = (int(backbone.summary_width), int(backbone.spatial_width))  # type: ignore[arg-type]
        self.heads = Heads(widths, teachers)
        self.sum = loss_sum(recipe.weighting, recipe.loss_weights(), widths[0])

    def forward(self, pictures: Tensor) -> dict[str, Features]:
        """Pictures [B, 3, R, R] in [0, 1] to an answer in the place of each teacher, by name."""
        answers: dict[str, Features] = self.heads(self.backbone(pictures))
        return answers


@dataclass(frozen=True)
class Outcome:
    """What a rung gave: the training curve, and the validation loss in whole and by head."""

    steps: int
    curve: tuple[tuple[int, float, float], ...]
    loss: float
    parts: dict[str, float]
    unreadable: tuple[str, ...]


class Trainer:
    """Takes a student along the shared schedule, from its checkpoint if there is one."""

    def __init__(self, student: Student, recipe: Recipe, targets: Targets, validation: list[Page]) -> None:
        self._student = student.to(memory_format=torch.channels_last)
        self._recipe = recipe
        self._targets = targets
        self._dispersions = {name: scale.dispersion for name, scale in targets.scales.items()}
        self._score = FixedSum(recipe.loss_weights())
        self._validation = validation
        self._optimiser = torch.optim.AdamW(
            _groups(student, recipe.optimiser.weight_decay),
            lr=recipe.optimiser.learning_rate,
            betas=recipe.optimiser.betas,
            fused=True,
        )
        self._step = 0
        self._curve: list[tuple[int, float, float]] = []
        self._unreadable: set[str] = set()

    def run(
        self, steps: int, kept: CheckpointFolder, *, guard: Guard = nullcontext, watch: Watcher | None = None
    ) -> Outcome:
        """Train to `steps` and validate.

        Args:
            steps: length of the rung; a checkpoint of this rung or the trunk of a shorter one is continued.
            kept: where checkpoints go.
            guard: held around each step, so that nothing is measured meanwhile.
            watch: called after each step with the number of steps done and the loss.

        Raises:
            DivergedError: the loss stopped being finite.
            EradioError: a batch could not be made, or a checkpoint could not be written.
        """
        trunk = decay_start(steps, self._recipe.optimiser)
        self._resume(kept.latest(steps, trunk))
        while self._step < steps:
            if self._step == trunk:
                kept.save_trunk(self._checkpoint(steps))
            batch = self._targets.batch(training_page(self._recipe, self._step))
            with guard():
                loss = self.step(batch, steps)
            if not math.isfinite(loss):
                raise DivergedError(f"the loss was {loss} at step {self._step}")
            if watch:
                watch(self._step, loss)
            if self._step == steps or kept.due():
                kept.save(self._checkpoint(steps))
        parts = self.validate(guard)
        loss = sum(self._score.weights[name] * part for name, part in parts.items())
        return Outcome(steps, tuple(self._curve), loss, parts, tuple(sorted(self._unreadable)))

    def step(self, batch: Batch, steps: int) -> float:
        """Take one step of a rung of `steps` on a batch and return its loss, by the teachers' fixed weights."""
        rate = learning_rate(self._step, steps, self._recipe.optimiser)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._student.train()
        features = self._student.backbone(batch.inputs())
        losses = self._losses(self._student.heads(features), batch)
        loss = self._student.sum(losses, features.summary)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._step += 1
        self._unreadable.update(batch.unreadable)
        with torch.no_grad():
            value = float(self._score(losses, None))
        self._curve.append((self._step, value, rate))
        return value

    @torch.no_grad()
    def validate(self, guard: Guard = nullcontext) -> dict[str, float]:
        """Mean loss of every head over the validation pictures, in evaluation mode."""
        self._student.eval()
        sums: dict[str, float] = {}
        pictures = 0
        for page in self._validation:
            # Not inside the guard: live targets hold it for themselves, and to hold it twice may wait for ever.
            batch = self._targets.batch(page)
            with guard():
                losses = self._losses(self._student(batch.inputs()), batch)
            count = len(batch.pictures)
            pictures += count
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.item() * count
            self._unreadable.update(batch.unreadable)
        means = {name: total / pictures for name, total in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise DivergedError(f"the validation loss is not finite after {self._step} steps")
        return means

    def _losses(self, answers: dict[str, Features], batch: Batch) -> dict[str, Tensor]:
        recipe = self._recipe
        return distillation_losses(answers, batch.floats(), recipe.summary, recipe.spatial, self._dispersions)

    def _checkpoint(self, steps: int) -> Checkpoint:
        return Checkpoint(
            steps=steps,
            step=self._step,
            student=self._student.state_dict(),
            optimiser=self._optimiser.state_dict(),
            curve=tuple(self._curve),
            unreadable=tuple(sorted(self._unreadable)),
        )

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        self._student.load_state_dict(checkpoint.student)
        self._optimiser.load_state_dict(checkpoint.optimiser)
        self._step = checkpoint.step
        self._curve = list(checkpoint.curve)
        self._unreadable = set(checkpoint.unreadable)


def new_student(
    build: Callable[[int], nn.Module], teachers: tuple[TeacherShape, ...], recipe: Recipe, identity: str
) -> Student:
    """A student whose first weights are a function of the recipe's seed and its training identity alone.

    Args:
        build: makes the backbone from a seed.
        teachers: what the heads must know of the teachers.
        recipe: its seed and its weighting of losses count.
        identity: hexadecimal digest of the training.
    """
    own = (int(identity, 16) ^ recipe.seed) % 2**63
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own)
        return Student(build(own), teachers, recipe)


def _groups(student: Student, weight_decay: float) -> list[dict[str, object]]:
    # Norms and biases are not decayed, as is usual for transformers and for batch norm.
    decayed = [weight for weight in student.parameters() if weight.ndim > 1]
    others = [weight for weight in student.parameters() if weight.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
