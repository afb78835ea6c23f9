"""The loop all three objectives share: schedule, checkpoints, progress."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.nn.utils import clip_grad_norm_

from eradio.description import Description
from eradio.errors import EradioError
from eradio.pretrain.objective import Objective
from eradio.tensors import write_state

CHECKPOINT = "checkpoint.pt"
_SAVE_SECONDS = 30.0
_CLIP = 1.0


class Run(Description):
    """What makes two trainings the same."""

    kind: str
    steps: int
    seed: int
    data: str


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over a twentieth of the steps (200 at most), then a cosine to a hundredth of the peak."""
    warm = max(1, min(200, steps // 20))
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def optimiser(objective: Objective) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": objective.decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=objective.rate, betas=objective.betas)


def advance(objective: Objective, optimizer: torch.optim.Optimizer, step: int, steps: int) -> float:
    """One step; returns its loss."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, steps, objective.rate)
    optimizer.zero_grad(set_to_none=True)
    loss = objective.loss(step)
    torch.autograd.backward(loss)
    clip_grad_norm_([parameter for parameter in objective.parameters() if parameter.requires_grad], _CLIP)
    optimizer.step()
    objective.after(step, steps)
    return loss.item()


def run(objective: Objective, folder: Path, settings: Run, until: int | None = None) -> list[float]:
    """Train from the last checkpoint in the folder, if there is one, to the last step.

    Args:
        objective: freshly built; its weights are replaced by the checkpoint's.
        folder: for checkpoints, written atomically every half minute and at the end.
        settings: of this run; a checkpoint of other settings is refused.
        until: stop (and save) before this step instead of at the end.

    Returns:
        The loss of every step since the start.

    Raises:
        EradioError: the folder's checkpoint belongs to another run, or the loss is not finite.
    """
    optimizer = optimiser(objective)
    losses = _resume(objective, optimizer, folder / CHECKPOINT, settings)
    last = settings.steps if until is None else until
    saved = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=1) as progress:
        bar = progress.add_task(f"Training {settings.kind}", total=last, completed=len(losses), loss=math.nan)
        for step in range(len(losses), last):
            losses.append(advance(objective, optimizer, step, settings.steps))
            if not math.isfinite(losses[-1]):
                raise EradioError(
                    f"The {settings.kind} training diverged at step {step}. Train again with another seed."
                )
            progress.update(bar, advance=1, loss=losses[-1])
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save(objective, optimizer, folder / CHECKPOINT, settings, losses)
                saved = time.monotonic()
                if not progress.console.is_terminal:
                    progress.console.print(f"{settings.kind}: step {step + 1} of {last}, loss {losses[-1]:.3f}")
    _save(objective, optimizer, folder / CHECKPOINT, settings, losses)
    return losses


def _save(
    objective: Objective, optimizer: torch.optim.Optimizer, path: Path, settings: Run, losses: list[float]
) -> None:
    state = {
        "run": settings.digest(),
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses,
    }
    write_state(path, state)


def _resume(objective: Objective, optimizer: torch.optim.Optimizer, path: Path, settings: Run) -> list[float]:
    if not path.is_file():
        return []
    state = torch.load(path, weights_only=True)
    if state["run"] != settings.digest():
        raise EradioError(f"{path} belongs to a training with other settings or pictures. Choose an empty folder.")
    objective.load_state_dict(state["objective"])
    optimizer.load_state_dict(state["optimizer"])
    losses: list[float] = state["losses"]
    return losses
