"""Which square of what a page shows the student sees, and which each teacher.

Squares that begin at places of their own, by whole patches, keep a student from imitating what a teacher says of fixed
places (C-RADIOv4, arXiv 2601.17237, shift equivariance).
"""

from collections.abc import Collection, Mapping

from eradio.distill.pages import Page, margin
from eradio.distill.recipe import Recipe
from eradio.distill.schedule import offsets

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


def shifts_at(recipe: Recipe, page: Page, names: Collection[str]) -> Shifts:
    """How far the squares of teachers begin from the student's; none where all see the same."""
    if margin(recipe, page) == 0:
        return {}
    squares = squares_at(recipe, page)
    down, right = squares[STUDENT]
    return {name: (squares[name][0] - down, squares[name][1] - right) for name in names}
