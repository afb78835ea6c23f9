"""What students of one recipe have in common."""

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from eradio.distill.cache import CachedTargets
from eradio.distill.choice import agreed
from eradio.distill.classroom import Classroom
from eradio.distill.pages import pages
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.setting import Setting

RECIPE = Recipe(partitions=(Partition(batch=4),), validation=8, steps=6, targets="cached")


def _filled_by(rank: int, folder: Path, begun: int = 0) -> CachedTargets:
    console = Console(quiet=True)
    room = Classroom(RECIPE, Setting(rank=rank, processes=2), console, folder, agreed)
    targets = CachedTargets(room.live, folder)
    with Progress(console=console, disable=True) as progress:
        room.fill(targets, begun, 0, progress)
    return targets


def test_each_process_asks_the_teachers_for_its_part_of_what_is_missing(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    every = pages(RECIPE, range(RECIPE.steps), 10**6)
    halves = [set(_filled_by(rank, tmp_path / str(rank)).missing(every)) for rank in (0, 1)]
    assert halves[0] | halves[1] == set(every)
    assert not halves[0] & halves[1]
    assert len(halves[0]) == len(halves[1])


def test_steps_that_are_done_are_not_asked_for_again(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    done = pages(RECIPE, range(4), 0)
    assert set(_filled_by(0, tmp_path, begun=4).missing(done)) == set(done)
