"""Which square of what a page shows the student sees, and which each teacher.

Squares that begin at places of their own, by whole patches, keep a student from imitating what a teacher says of fixed
places (C-RADIOv4, arXiv 2601.17237, shift equivariance).
"""

from collections.abc import Collection, Mapping, Sequence

from eradio.distill.pages import Page, margin
from eradio.distill.recipe import Recipe
from eradio.distill.schedule import offsets
from eradio.distill.teachers.base import Teacher
from eradio.distill.teachers.view import STRIDE, places
from eradio.errors import EradioError

STUDENT = ""
"""Stands among the teachers' names."""

Shifts = Mapping[str, tuple[int, int]]
"""By teacher, how many patches below and to the right of the student's square its own begins."""


def squares_at(recipe: Recipe, page: Page) -> dict[str, tuple[int, int]]:
    """Where in what a page shows the squares of student and teachers begin, in patches down and to the right."""
    viewers = [STUDENT, *(spec.name for spec in recipe.teachers)]
    if margin(recipe, page) == 0:
        return dict.fromkeys(viewers, (0, 0))
    found = offsets(recipe.seed, page.number, page.partition, len(viewers), recipe.shift)
    return dict(zip(viewers, found, strict=True))


def check_shift(recipe: Recipe, teachers: Sequence[Teacher], stride: int) -> None:
    """See that every map the loss will compare can be shifted by whole patches.

    Args:
        recipe: whose shift, partitions and resolutions.
        teachers: of the recipe, in its order.
        stride: pixels between the places of the student's map.

    Raises:
        EradioError: one cannot; the text names the teacher and the resolution.
    """
    if not recipe.shift or recipe.spatial is None:
        return
    for number, partition in enumerate(recipe.partitions):
        for spec, teacher in zip(recipe.teachers, teachers, strict=True):
            for side in sorted(partition.every_side() if spec.name in recipe.teachers_of(number) else ()):
                compared = max(places(teacher, side, spec.view), side // stride)
                if compared * STRIDE % side:
                    raise EradioError(
                        f"With 'shift' maps are compared at whole patches of {STRIDE} pixels, but at {side} pixels "
                        f"teacher '{spec.name}' and the student have {compared}x{compared} places, which are none. "
                        "Let it look at the pictures as they are (view: pictures), or change the resolution."
                    )


def shifts_at(recipe: Recipe, page: Page, names: Collection[str]) -> Shifts:
    """How far the squares of teachers begin from the student's; none where all see the same."""
    if margin(recipe, page) == 0:
        return {}
    squares = squares_at(recipe, page)
    down, right = squares[STUDENT]
    return {name: (squares[name][0] - down, squares[name][1] - right) for name in names}
