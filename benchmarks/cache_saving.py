"""What the cache of teacher targets saves, for a small, a middle and a large student.

Named alternative: the same training steps with live teachers. Both arms take the same steps of the same
students, turn about in one process on one thread, so that the machine's drift hits both alike. The bound is
1 + T / (3 F): T the teachers' forward time for a batch, F the student's, three times for forward and backward.

Run: python benchmarks/cache_saving.py [rounds]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eradio.distill.cache import CachedTargets
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.targets import LiveTargets, Page
from eradio.distill.trainer import Trainer, new_student
from eradio.interval import Interval, bootstrap_interval, median
from eradio.search_space import build, describe, named

# Three students of the embedded world, from its fast to its slow end.
STUDENTS = {"small": "e_radio_mini_xs", "middle": "e_radio_mini", "large": "e_radio_mini_l"}
CANDIDATES = 24


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratio(above: list[float], below: list[float]) -> Interval:
    """Median of paired ratios with its 95 % interval."""
    pairs = np.array([above, below]).T
    return bootstrap_interval(pairs, lambda drawn: median(drawn[..., 0] / drawn[..., 1]), block=2)


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    recipe = Recipe()
    live = LiveTargets(recipe, *open_data(recipe))
    teachers = live.teachers
    shapes = tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in teachers)
    table = Table(
        "student",
        "T ms",
        "F ms",
        "live / cached",
        "bound",
        "reached",
        f"with filling, {CANDIDATES} candidates",
    )
    with tempfile.TemporaryDirectory() as folder:
        cached = CachedTargets(live, Path(folder))
        filling = [seconds(lambda step=step: cached.batch(Page("train", step))) for step in range(rounds)]
        for size, name in STUDENTS.items():
            network = named(name)
            times: dict[str, list[float]] = {"T": [], "F": [], "live": [], "cached": []}
            student = new_student(partial(build, network), shapes, 0, "0")
            trainer = Trainer(student, recipe, live, [])
            for step in range(rounds):
                inputs = cached.batch(Page("train", step)).inputs()
                times["live"].append(seconds(lambda step=step: trainer.step(live.batch(Page("train", step)), rounds)))
                times["cached"].append(
                    seconds(lambda step=step: trainer.step(cached.batch(Page("train", step)), rounds))
                )
                times["T"].append(seconds(lambda inputs=inputs: [teacher(inputs) for teacher in teachers]))
                times["F"].append(seconds(lambda inputs=inputs: student(inputs)))
            late = {key: values[rounds // 5 :] for key, values in times.items()}
            measured = ratio(late["live"], late["cached"])
            teacher, forward = np.median(late["T"]), np.median(late["F"])
            bound = 1 + teacher / (3 * forward)
            live_step, cached_step = np.median(late["live"]), np.median(late["cached"])
            filled = CANDIDATES * live_step / (np.median(filling) + CANDIDATES * cached_step)
            table.add_row(
                f"{size}: {describe(network)}",
                f"{teacher * 1e3:.0f}",
                f"{forward * 1e3:.0f}",
                f"{measured.value:.2f} [{measured.low:.2f}, {measured.high:.2f}]",
                f"{bound:.2f}",
                f"{measured.value / bound:.0%}",
                f"{filled:.2f}",
            )
    Console(width=150).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
