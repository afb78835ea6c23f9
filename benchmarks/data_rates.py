"""How fast pictures come from folders, shards and scenes, and how long a training waits for them.

Named alternative: torchvision's plain loader, `ImageFolder` with `RandomResizedCrop` and `RandomHorizontalFlip`, in
this process as all others. All arms make batches of 64 of 224 pixels, turn about in one run on one thread, from the
same 512 JPEG files of 500 by 375 pixels (scenes, quality 90), but for `scenes`, which are drawn as they are asked for;
pictures a second and core, with 95 % intervals. Then a training of a small student from each source with one process
that makes pictures ahead: the share of its steps that it waited.

    python benchmarks/data_rates.py [rounds]      about 10 minutes for 20
"""

import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, Printed, Printer, training_pages
from eradio.distill.recipe import Data, FolderData, Partition, Recipe, ScenesData, ShardsData
from eradio.distill.setting import Share
from eradio.distill.student import new_student
from eradio.distill.targets import LiveTargets
from eradio.distill.trainer import Trainer
from eradio.interval import bootstrap_interval
from eradio.scenes import Scenes
from eradio.search_space import build, named

PICTURES, SIDE, BATCH, STEPS = 512, 224, 64, 40
CROP = 0.6


def write_pictures(folder: Path) -> tuple[Path, Path]:
    """The files below a folder of one class, and the same in two shards."""
    scenes, classes = Scenes("train", size=500), folder / "files" / "one"
    classes.mkdir(parents=True)
    for number in range(PICTURES):
        picture = Image.fromarray(scenes.picture(number)).crop((0, 0, 500, 375))
        picture.save(classes / f"{number:05d}.jpg", quality=90)
    for shard in range(2):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for number in range(shard, PICTURES, 2):
                content = (classes / f"{number:05d}.jpg").read_bytes()
                member = tarfile.TarInfo(f"{number:09d}.jpg")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder / "files", folder / "{00000..00001}.tar"


def torchvision_loader(folder: Path) -> Callable[[int], object]:
    """Batches of its plain loader."""
    change = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE, scale=(CROP, 1.0), ratio=(1.0, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )

    def forever() -> Iterator[object]:
        while True:
            yield from DataLoader(datasets.ImageFolder(str(folder), change), batch_size=BATCH, shuffle=True)

    batches = forever()
    return lambda step: next(batches)


def ours(data: Data) -> Callable[[int], Printed]:
    """Batches of the schedule."""
    recipe = recipe_of(data)
    printer = Printer(recipe, *open_data(recipe))
    return lambda step: printer[Page("train", step)]


def recipe_of(data: Data) -> Recipe:
    """As the embedded one, of 224 pixels."""
    return Recipe(data=data, partitions=(Partition(resolution=(SIDE,), batch=BATCH),), validation=1)


def waited(data: Data) -> float:
    """Share of a training's steps that it waited for pictures, one process making them ahead."""
    recipe = recipe_of(data)
    live = LiveTargets(recipe, *open_data(recipe))
    shapes = tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in live.teachers)
    student = new_student(lambda seed: build(named("e_radio_mini_s"), seed), shapes, recipe, "0")
    trainer, waits, whole = Trainer(student, recipe, live, []), [], []
    ready = live.ahead.print

    def watched(page: Page) -> Printed:
        start = time.perf_counter()
        printed = ready(page)
        waits.append(time.perf_counter() - start)
        return printed

    live.ahead.print = watched  # type: ignore[method-assign]
    share = Share(0, range(BATCH), BATCH)
    with live.ahead.of((page for step in range(STEPS) for page in training_pages(recipe, step)), workers=1):
        for step in range(STEPS):
            start = time.perf_counter()
            trainer.step({share: live.batch(Page("train", step))}, STEPS)
            whole.append(time.perf_counter() - start)
    # The first steps wait for the process to start.
    return float(np.sum(waits[5:]) / np.sum(whole[5:]))


def median(drawn: NDArray[np.float64], arm: int) -> NDArray[np.float64]:
    """Over rounds, of one arm."""
    return np.asarray(np.median(drawn[:, :, arm], axis=1))


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        files, shards = write_pictures(Path(name))
        sources: dict[str, Data] = {
            "folder": FolderData(path=files),
            "shards": ShardsData(path=str(shards), validation=str(shards)),
            "scenes": ScenesData(),
        }
        arms = {"torchvision": torchvision_loader(files), **{key: ours(data) for key, data in sources.items()}}
        seconds = np.zeros((rounds, len(arms)))
        for step in range(rounds):
            for place, arm in enumerate(arms.values()):
                start = time.perf_counter()
                arm(step)
                seconds[step, place] = time.perf_counter() - start
        table = Table("source", "pictures/s and core", "over torchvision", "waited in a training")
        for place, key in enumerate(arms):
            rate, ratio = (
                bootstrap_interval(one, partial(median, arm=place), block=2)
                for one in (BATCH / seconds, seconds[:, :1] / seconds)
            )
            told = f"{waited(sources[key]):.1%}" if key in sources else "-"
            table.add_row(
                key,
                f"{rate.value:.0f} [{rate.low:.0f}, {rate.high:.0f}]",
                f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
                told,
            )
        Console(width=120).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
