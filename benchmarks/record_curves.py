"""Trains and measures every member of an enumerated space through all rungs: the table on which searches are replayed.

Each member of `tiny_grid` is measured on two engines and taught to 30, 90 and 270 steps by one recipe on the embedded
world; a longer rung continues the trunk of a shorter one, as in a search. One line of JSON a member goes into a file;
an interrupted recording goes on where it was, and several processes may record parts of the space side by side. What
the shipped table holds already is left out, so that another machine can record the rest; `tools/pack_table.py` packs
both. How long a step of the teachers takes is written beside the lines, for the clock of a replayed search.
Members come in the order of their digests, so that an unfinished table is a uniform sample of the space.

    python benchmarks/record_curves.py FOLDER [part parts]      about 6 hours of one core for all 1,152
"""

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from eradio.distill.cache import CachedTargets
from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.data import open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, validation_pages
from eradio.distill.recipe import Crop, Partition, Recipe, training_identity
from eradio.distill.student import new_student
from eradio.distill.targets import LiveTargets
from eradio.distill.trainer import DivergedError, Trainer
from eradio.files import write_atomically, write_json
from eradio.locks import DeviceLock, default_lock_folder
from eradio.profile import Target, measure, protocol_named
from eradio.search_space import Architecture, SearchSpace, build
from eradio.study.simulator.table import read_table, shipped_table, whole_lines

SPACE = "tiny_grid"
TEACHER_STEPS = 21
RUNGS = (30, 90, 270)
ENGINES = ("openvino", "eager")
RECIPE = Recipe(partitions=(Partition(batch=16),), crop=Crop(smallest=0.85), steps=RUNGS[-1], targets="cached")


class Recorder:
    """Measures and teaches members, one at a time, on one thread."""

    def __init__(self, folder: Path, recipe: Recipe = RECIPE) -> None:
        self.folder = folder
        self.recipe = recipe
        self.space = SearchSpace.named(SPACE)
        self.data = open_data(recipe)
        live = LiveTargets(recipe, *self.data)
        self.shapes = tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in live.teachers)
        self.live, self.targets = live, CachedTargets(live, folder / "targets")
        self.lock = DeviceLock(default_lock_folder(), "cpu")

    def member(self, architecture: Architecture) -> dict[str, Any]:
        """What a search would learn of one network."""
        known: dict[str, Any] = {"digest": architecture.digest(), "parameters": self.space.encode(architecture)}
        known["images_per_second"] = {engine: self._measured(architecture, engine) for engine in ENGINES}
        try:
            known["rungs"] = self.taught(architecture)
        except DivergedError as error:
            known["reason"] = f"diverged: {error}"
        return known

    def teachers(self) -> float:
        """Processor seconds of one step of the teachers, without the making of the pictures: a median."""
        laps = []
        with self.lock.training():
            for step in range(TEACHER_STEPS):
                start = time.process_time()
                self.live.answered(Page("train", step), ())
                middle = time.process_time()
                self.live.batch(Page("train", step))
                laps.append(time.process_time() - middle - (middle - start))
        return statistics.median(laps)

    def _measured(self, architecture: Architecture, engine: str) -> list[float]:
        """Images a second with its interval."""
        plain = {"engine": engine, "batch": 8, "resolution": 64, "protocol": protocol_named("search").model_dump()}
        target = Target.parse(plain, engine)
        found = measure(architecture, target, canary_folder=self.folder, lock=self.lock).throughput
        return [found.value, found.low, found.high]

    def taught(self, architecture: Architecture) -> dict[int, dict[str, Any]]:
        """Loss in whole and by head at each rung, and the processor seconds since the last one."""
        own = self.folder / f"training-{architecture.digest()}"
        shutil.rmtree(own, ignore_errors=True)
        identity = training_identity(architecture.digest(), self.recipe, self.data[0].digest)
        pages, rungs = validation_pages(self.recipe, len(self.data[1])), {}
        for steps in RUNGS:
            start = time.process_time()
            student = new_student(lambda seed: build(architecture, seed), self.shapes, self.recipe, identity)
            trainer = Trainer(student, self.recipe, self.targets, pages)
            outcome = trainer.run(steps, CheckpointFolder(own), guard=self.lock.training)
            rungs[steps] = {"loss": outcome.loss, "parts": outcome.parts, "seconds": time.process_time() - start}
        shutil.rmtree(own)
        return rungs


def main(folder: Path, part: int, parts: int) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    recorder, path = Recorder(folder), folder / f"{SPACE}-{part}-of-{parts}.jsonl"
    if path.exists():
        whole = b"".join(whole_lines(path))
        write_atomically(path, lambda temporary: temporary.write_bytes(whole))
    done = {json.loads(line)["digest"] for one in folder.glob("*.jsonl") for line in whole_lines(one)}
    done |= set(read_table(shipped_table()).members) if shipped_table().exists() else set()
    if not (folder / "teachers.json").exists():
        write_json(folder / "teachers.json", {"seconds": recorder.teachers()})
    members = sorted(recorder.space.members(), key=Architecture.digest)
    console, own = Console(), [one for one in members[part::parts] if one.digest() not in done]
    for number, architecture in enumerate(own):
        start = time.monotonic()
        line = json.dumps(recorder.member(architecture))
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        console.print(f"{number + 1} of {len(own)}: {time.monotonic() - start:.0f} s", highlight=False)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *(map(int, sys.argv[2:]) if len(sys.argv) == 4 else (0, 1)))
