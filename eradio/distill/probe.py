"""Holding a finished student beside its teachers at several resolutions."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from eradio.distill.data import open_data
from eradio.distill.fidelity import Fidelity, fidelities
from eradio.distill.finished import read_finished, recipe_of
from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.teachers import load_teacher
from eradio.errors import EradioError


def probe(folder: Path, sides: Sequence[int], pictures: int, console: Console) -> list[Fidelity]:
    """Fidelity of every head of a finished run at several resolutions, on pictures that it was not taught on.

    Args:
        folder: of the run.
        sides: in pixels.
        pictures: how many.
        console: where progress is shown, if it is a terminal.

    Raises:
        EradioError: there is no finished run, or its teachers or pictures are missing.
    """
    recipe = recipe_of(folder)
    teachers = [load_teacher(spec) for spec in recipe.teachers]
    shapes = tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in teachers)
    student = read_finished(folder, shapes)
    _, data = open_data(_large_enough(recipe, sides))
    found: list[Fidelity] = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("holding student and teachers side by side", total=len(sides))
        for side in sides:
            found += fidelities(student, teachers, data, [side], pictures, recipe.views())
            progress.advance(task)
    return found


def _large_enough(recipe: Recipe, sides: Sequence[int]) -> Recipe:
    """Scenes are drawn as large as they are wanted."""
    try:
        largest = Partition(resolution=tuple(sides))
    except ValueError:
        told = ", ".join(map(str, sides))
        raise EradioError(f"Resolutions must be multiples of 16 from 16 to 2048, not {told}.") from None
    return recipe.model_copy(update={"partitions": (largest,)})
