"""What the cache of teacher targets saves, for a small, a middle and a large student.

Named alternative: the same training steps with live teachers. Both arms take the same steps of the same students, turn
about in one process on one thread, so that the machine's drift hits both alike. A live step also makes its pictures,
which the bound knows nothing of: their time is taken off before the ratio is set beside the bound. The recipe is the
embedded study's. The bound is 1 + T / (3F): T the
teachers' forward time for a batch, F the student's with its heads, three times for forward and backward.

Run: python benchmarks/cache_saving.py [rounds]
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from eradio.distill.cache import CachedTargets
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page
from eradio.distill.setting import Share
from eradio.distill.student import Student, new_student
from eradio.distill.targets import LiveTargets, Targets
from eradio.distill.trainer import Trainer
from eradio.interval import bootstrap_interval
from eradio.search_space import build, named
from eradio.study.config import DEFAULT, StudyConfig

# Three students of the embedded world, from its fast to its slow end.
STUDENTS = {"small": "resnet_s", "middle": "e_radio_mini", "large": "vit_l"}
CANDIDATES = 24
LIVE, CACHED, PICTURES, TEACHERS, STUDENT = range(5)

Floats = NDArray[np.float64]


class Stopwatch:
    """Seconds since the last reading."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Read and start anew."""
        now = time.perf_counter()
        self._last, passed = now, now - self._last
        return passed


class Pictures(LiveTargets):
    """Live targets of no teacher: the pictures alone."""

    teachers = ()


def round_trip(
    trainer: Trainer, student: Student, live: LiveTargets, cached: Targets, pictures: Targets, step: int
) -> list[float]:
    """Seconds of a live step, a cached one, the pictures, the teachers' forward, the student's forward."""
    page = Page("train", step)
    inputs: Tensor = cached.batch(page).inputs()
    share = Share(0, range(len(inputs)), len(inputs))
    watch = Stopwatch()
    trainer.step({share: live.batch(page)}, 1000)
    times = [watch.lap()]
    trainer.step({share: cached.batch(page)}, 1000)
    times.append(watch.lap())
    pictures.batch(page)
    times.append(watch.lap())
    for teacher in live.teachers:
        teacher(inputs)
    times.append(watch.lap())
    student(inputs)
    return [*times, watch.lap()]


def reached(drawn: Floats) -> Floats:
    """The ratio without the making of pictures over the bound, from [resamples, rounds, 5] seconds."""
    live, cached, pictures, teachers, student = np.moveaxis(np.median(drawn, axis=1), 1, 0)
    return np.asarray((live - pictures) / cached / (1 + teachers / (3 * student)))


def gained(drawn: Floats) -> Floats:
    """Seconds of a live step over those of a cached one."""
    middle = np.median(drawn, axis=1)
    return np.asarray(middle[:, LIVE] / middle[:, CACHED])


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    recipe = StudyConfig.from_yaml(DEFAULT).recipe
    live = LiveTargets(recipe, *open_data(recipe))
    pictures = Pictures(recipe, *open_data(recipe))
    shapes = tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in live.teachers)
    table = Table(
        "student",
        "T ms",
        "F ms",
        "pictures ms",
        "live / cached",
        "bound",
        "of the bound",
        f"filling, {CANDIDATES} nets",
    )
    with tempfile.TemporaryDirectory() as folder:
        cached = CachedTargets(live, Path(folder))
        watch = Stopwatch()
        filling = []
        for step in range(rounds):
            cached.batch(Page("train", step))
            filling.append(watch.lap())
        for size, name in STUDENTS.items():
            student = new_student(partial(build, named(name)), shapes, recipe, "0")
            trainer = Trainer(student, recipe, live, [])
            seconds = np.array([round_trip(trainer, student, live, cached, pictures, step) for step in range(rounds)])
            kept = seconds[rounds // 5 :]
            middle = np.median(kept, axis=0)
            ratio, share = (bootstrap_interval(kept, statistic, block=2) for statistic in (gained, reached))
            filled = CANDIDATES * middle[LIVE] / (np.median(filling) + CANDIDATES * middle[CACHED])
            table.add_row(
                f"{size} ({name})",
                f"{middle[TEACHERS] * 1e3:.0f}",
                f"{middle[STUDENT] * 1e3:.0f}",
                f"{middle[PICTURES] * 1e3:.0f}",
                f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
                f"{1 + middle[TEACHERS] / (3 * middle[STUDENT]):.2f}",
                f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]",
                f"{filled:.2f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
