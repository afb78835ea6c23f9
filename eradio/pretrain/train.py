"""From nothing to a teacher's folder."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from eradio.distill.teachers import KINDS, Teacher, TeacherSpec, load_teacher
from eradio.distill.teachers.files import write_config, write_weights
from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.pretrain.card import CARD, write_card
from eradio.pretrain.clip import ClipObjective
from eradio.pretrain.dino import DinoObjective
from eradio.pretrain.held_out import scores
from eradio.pretrain.loop import CHECKPOINT, Run, advance, optimiser, run
from eradio.pretrain.objective import Objective
from eradio.pretrain.sam import SamObjective

_OBJECTIVES: dict[str, type[ClipObjective] | type[DinoObjective] | type[SamObjective]] = {
    "clip": ClipObjective,
    "dino": DinoObjective,
    "sam": SamObjective,
}
_RUN = "run.json"
_TIMED_STEPS = 4
HELD_OUT = 1240


def train(
    kind: str,
    folder: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    held_out: int = HELD_OUT,
) -> TeacherSpec:
    """Train a small teacher on one core and evaluate it on held-out pictures.

    The folder then holds the teacher (`TeacherSpec(weights=folder)` opens it) and its model card. Meanwhile it
    holds what a killed training needs to go on: call again with the same folder, and at most the last half
    minute is lost. A folder with the finished training is left as it is.

    Args:
        kind: clip, dino or sam.
        folder: made if it is missing.
        minutes: how long to train; a few timed steps turn it into a number of steps, which the folder keeps.
        steps: how many steps to train, instead of `minutes`.
        seed: of the weights and of the pictures.
        held_out: how many held-out pictures the card's scores rest on.

    Raises:
        EradioError: an unknown kind, no length given, or a folder in which another training stands.
    """
    if kind not in _OBJECTIVES:
        raise EradioError(f"There is no teacher of kind '{kind}'. Choose one of {', '.join(KINDS)}.")
    with _one_thread():
        settings = _settings(kind, folder, minutes, steps, seed)
        if (folder / CARD).is_file():
            return _spec(kind, folder)
        objective = build(kind, seed)
        losses = run(objective, folder, settings)
        facts = {
            "objective": objective.words,
            "pictures": f"{objective.data_words}, {objective.data_digest}",
            "batch": objective.batch,
            "steps": settings.steps,
            "seed": seed,
            "loss at the end": sum(losses[-20:]) / len(losses[-20:]),
        }
        teacher = save(objective, folder)
        with TemporaryDirectory() as beside:
            untrained = save(build(kind, seed), Path(beside))
        write_card(folder, teacher, facts, scores(teacher, untrained, held_out, 2 * held_out))
    (folder / CHECKPOINT).unlink()
    return _spec(kind, folder)


def save(objective: Objective, folder: Path) -> Teacher:
    """Write what an objective has taught as a teacher's folder, and open it."""
    config, network = objective.result()
    write_config(folder, objective.kind, dict(config))
    objective.prepare(folder)
    write_weights(folder, network.state_dict())
    return load_teacher(_spec(objective.kind, folder))


def build(kind: str, seed: int) -> Objective:
    """An objective with fresh weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _OBJECTIVES[kind](seed)


def _spec(kind: str, folder: Path) -> TeacherSpec:
    return TeacherSpec.parse({"kind": kind, "name": kind, "weights": str(folder)}, "The trained teacher")


def _settings(kind: str, folder: Path, minutes: float | None, steps: int | None, seed: int) -> Run:
    path = folder / _RUN
    objective = build(kind, seed)
    if path.is_file():
        kept = Run.parse(read_json(path), str(path))
        asked = Run(kind=kind, steps=steps or kept.steps, seed=seed, data=objective.data_digest)
        if asked != kept:
            raise EradioError(
                f"{folder} holds another training ({kept.kind}, {kept.steps} steps, seed {kept.seed}). "
                f"Choose an empty folder."
            )
        return kept
    if (minutes is None) == (steps is None):
        raise EradioError("Say how long to train: either a number of minutes or a number of steps.")
    if not 0 < (minutes or steps or 0) < math.inf:
        raise EradioError("A training takes at least one step. Give a positive number of minutes or steps.")
    count = steps if steps is not None else max(1, round(60 * (minutes or 0) / _seconds_a_step(objective)))
    settings = Run(kind=kind, steps=count, seed=seed, data=objective.data_digest)
    write_json(path, settings.model_dump(mode="json"))
    return settings


def _seconds_a_step(objective: Objective) -> float:
    """Measured on an objective that is thrown away after."""
    optimizer = optimiser(objective)
    advance(objective, optimizer, 0, _TIMED_STEPS)
    started = time.monotonic()
    for step in range(1, 1 + _TIMED_STEPS):
        advance(objective, optimizer, step, 1 + _TIMED_STEPS)
    return (time.monotonic() - started) / _TIMED_STEPS


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
