"""Students of several recipes, taught once and scored alike; what studies of recipes stand on."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from eradio.distill.data import open_data
from eradio.distill.fidelity import fidelities
from eradio.distill.finished import read_finished, recipe_of
from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.run import distil
from eradio.distill.setting import Setting
from eradio.distill.student import Student
from eradio.distill.teachers import load_teacher, shipped
from eradio.features import Features
from eradio.search_space import named
from eradio.study.downstream import Bench

PICTURES = 256
"""Validation pictures for the fidelity of heads; the same for every student, whatever its seed."""


class Through(nn.Module):
    """A student of a proxy, in the place of the proxy's own teachers."""

    def __init__(self, student: Student, proxy: Student) -> None:
        super().__init__()
        self.student, self.proxy = student, proxy
        self.backbone = student.backbone

    def forward(self, pictures: Tensor) -> dict[str, Features]:
        """By the experts' names."""
        (answer,) = self.student(pictures).values()
        answers: dict[str, Features] = self.proxy.heads(answer)
        return answers


class Study:
    """Students in folders of their own, below one; cached targets are shared by all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.teachers = tuple(load_teacher(spec) for spec in shipped())
        self.bench = Bench(self.teachers)
        self.scores: dict[str, dict[str, float]] = {}

    def folder(self, name: str) -> Path:
        """Of one student."""
        return self.root / re.sub(r"\W+", "-", name)

    def teach(self, name: str, network: str, recipe: Recipe, proxy: str | None = None) -> None:
        """Teach and score a student, unless that is done."""
        folder = self.folder(name)
        path = folder / "scores.json"
        if not path.exists():
            distil({folder: named(network)}, recipe, setting=Setting(), cache=self.root / "targets", console=Console())
            path.write_text(json.dumps(self._scores(folder, None if proxy is None else self.folder(proxy))))
            print(f"{name}: {path.read_text()}", flush=True)
        self.scores[name] = json.loads(path.read_text())

    def print(self, title: str, arms: dict[str, list[str]]) -> None:
        """A table of the arms, each by its students; and their mean ranks over all scores, 1 for the best."""
        known = {arm: [self.scores[name] for name in names if name in self.scores] for arm, names in arms.items()}
        known = {arm: found for arm, found in known.items() if found}
        metrics = list(next(iter(known.values()))[0])
        table = Table("score", *known, title=f"{title}; mean over seeds, and their standard deviation")
        means = np.array([[np.mean([one[metric] for one in found]) for metric in metrics] for found in known.values()])
        for place, metric in enumerate(metrics):
            spreads = [
                np.std([one[metric] for one in found], ddof=1 if len(found) > 1 else 0) for found in known.values()
            ]
            cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means[:, place], spreads, strict=True)]
            table.add_row(metric, *cells)
        ranks = (-means).argsort(axis=0).argsort(axis=0) + 1
        table.add_row("mean rank", *(f"{rank:.2f}" for rank in ranks.mean(axis=1)))
        Console(width=160).print(table)

    def _scores(self, folder: Path, proxy: Path | None) -> dict[str, float]:
        answering: Student | Through = self._finished(folder)
        if proxy is not None:
            answering = Through(answering, self._finished(proxy))  # type: ignore[arg-type]
        _, data = open_data(Recipe())
        answering.eval()
        found = {
            f"fidelity of {one.head}": one.value
            for one in fidelities(answering, self.teachers, data, [64], PICTURES)  # type: ignore[arg-type]
        }
        with torch.no_grad():
            return found | {metric: score.value for metric, score in self.bench.scores(answering).items()}

    def _finished(self, folder: Path) -> Student:
        teachers = [load_teacher(spec) for spec in recipe_of(folder).teachers]
        shapes = tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in teachers)
        return read_finished(folder, shapes)
