"""What a candidate costs when its teachers' answers are cached, or shared by a cohort, for three students.

Named alternative: the same training steps with the teachers asked for each candidate (live, alone). All arms take the
same steps in one process on one thread, turn about, so that the machine's drift hits all alike: in each round one batch
is made live, eight students of one network take a step on it one after another, as in lock-step, and the batch is read
from the cache. A cohort of K costs what the batch and the first K of these steps took together. With T the teachers'
forward time for a batch and F the student's with its heads, three times for forward and backward, the bounds are
1 + T / 3F for a cache and K (T + 3F) / (T + 3KF) for a cohort.
The cache's files were written just before, so they come from memory, not from a disk. The bounds know nothing of the
pictures: the time to make them is taken off before a ratio is set beside its bound.

Teachers: the three that are shipped; and three of the size of ViT-S, ViT-B and ViT-B (random weights, as slow as
trained ones) of patch 8 at 64 pixels.

    python benchmarks/cost_per_candidate.py [rounds]      about 15 minutes for 20
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eradio.distill.cache import CachedTargets
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.setting import Share
from eradio.distill.student import new_student
from eradio.distill.targets import LiveTargets
from eradio.distill.teachers import TeacherSpec
from eradio.distill.trainer import Trainer
from eradio.interval import bootstrap_interval
from eradio.search_space import build, named
from eradio.study.config import DEFAULT, StudyConfig
from eradio.tensors import write_tensors

# Three students of the embedded world, from its fast to its slow end.
STUDENTS = {"small": "resnet_s", "middle": "e_radio_mini", "large": "vit_l"}
COHORTS = (2, 4, 8)
PICTURES, LIVE, CACHED, TEACHERS, STUDENT, FIRST = range(6)
VIT_BATCH = 16

Floats = NDArray[np.float64]


def large_teachers(folder: Path) -> Recipe:
    """A recipe whose teachers are of the size of ViT-S, ViT-B and ViT-B."""
    specs = []
    for place, name in enumerate(("vit_small_patch8_224", "vit_base_patch8_224", "vit_base_patch8_224")):
        torch.manual_seed(place)
        path = folder / f"{place}.safetensors"
        write_tensors(path, timm.create_model(name, img_size=64, num_classes=0).state_dict())
        specs.append(TeacherSpec(kind="timm", name=f"vit{place}", weights=str(path), model=name, resolution=64))
    return Recipe(teachers=tuple(specs), partitions=(Partition(batch=VIT_BATCH),))


class Round:
    """The arms of one network under one recipe."""

    def __init__(self, live: LiveTargets, cached: CachedTargets, network: str) -> None:
        self.live, self.cached = live, cached
        shapes = tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in live.teachers)
        make = partial(build, named(network))
        self.students = [new_student(make, shapes, live.recipe, f"{place}") for place in range(max(COHORTS))]
        self.trainers = [Trainer(student, live.recipe, live, []) for student in self.students]

    def seconds(self, step: int) -> list[float]:
        """Of the pictures, the live batch, the cached one, the teachers, a student's forward, each student's step."""
        page, laps = Page("train", step), [time.perf_counter()]

        def lap() -> None:
            laps.append(time.perf_counter())

        self.live.answered(page, ())
        lap()
        batch = self.live.batch(page)
        lap()
        self.cached.batch(page)
        lap()
        inputs = batch.inputs()
        for teacher in self.live.teachers:
            teacher(inputs)
        lap()
        self.students[0](inputs)
        lap()
        share = Share(0, range(len(inputs)), len(inputs))
        for trainer in self.trainers:
            trainer.step({share: batch}, 1000)
            lap()
        return list(np.diff(laps))


def gain(drawn: Floats, cohort: int | None, *, bound: bool) -> Floats:
    """Live and alone over cached (no cohort) or over a cohort's share; with `bound`, its part of the bound."""
    steps, live = drawn[:, :, FIRST:], drawn[:, :, LIVE] - (drawn[:, :, PICTURES] if bound else 0.0)
    alone = live + steps.mean(2)
    cost = drawn[:, :, CACHED] + steps.mean(2) if cohort is None else (live + steps[:, :, :cohort].sum(2)) / cohort
    found = np.median(alone, axis=1) / np.median(cost, axis=1)
    return np.asarray(found / best(np.median(drawn, axis=1), cohort) if bound else found)


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as folder:
        recipes = {
            "shipped teachers": StudyConfig.from_yaml(DEFAULT).recipe,
            "ViT-S, ViT-B, ViT-B": large_teachers(Path(folder)),
        }
        for title, recipe in recipes.items():
            live = LiveTargets(recipe, *open_data(recipe))
            cached = CachedTargets(live, Path(folder) / "targets")
            for step in range(rounds):
                cached.batch(Page("train", step))
            table = Table(
                "student", "T ms", "F ms", "step ms", "pictures ms", "arm", "live / arm", "bound", "of the bound"
            )
            table.title = f"{title}, batch {recipe.partitions[0].batch}"
            for size, name in STUDENTS.items():
                arm = Round(live, cached, name)
                seconds = np.array([arm.seconds(step) for step in range(rounds)])[rounds // 5 :]
                middle = np.median(seconds, axis=0)
                facts = [middle[TEACHERS], middle[STUDENT], middle[FIRST:].mean(), middle[PICTURES]]
                for cohort in (None, *COHORTS):
                    ratio, share = (
                        bootstrap_interval(seconds, partial(gain, cohort=cohort, bound=bound), block=2)
                        for bound in (False, True)
                    )
                    table.add_row(
                        *([f"{size} ({name})", *(f"{1e3 * one:.0f}" for one in facts)] if cohort is None else [""] * 5),
                        "cached" if cohort is None else f"cohort of {cohort}",
                        f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
                        f"{best(middle, cohort):.2f}",
                        f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]",
                    )
            console.print(table)


def best(middle: Floats, cohort: int | None) -> Floats:
    """The bound, of medians [..., kinds]."""
    teachers, student = middle[..., TEACHERS], 3 * middle[..., STUDENT]
    return np.asarray((teachers + student) / ((0 if cohort is None else teachers / cohort) + student))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
