"""Trainings that ask for their batches, one page after another: each alone, or several on one teachers' pass.

A course is a generator that yields the page it wants next, is sent the batch that stands on it, and returns what it has
to say at its end. It does not know who else is sent the same batch, so a student that was taught among others is the
one that was taught alone, bit for bit.
"""

from collections.abc import Generator, Hashable, Iterator, Mapping
from typing import TypeVar

from eradio.distill.pages import Page
from eradio.distill.targets import Batch, Targets

End = TypeVar("End")
Name = TypeVar("Name", bound=Hashable)

Course = Generator[Page, Batch, End]


def taught_alone(course: Course[End], targets: Targets) -> End:
    """Take one course to its end."""
    try:
        page = next(course)
        while True:
            page = course.send(targets.batch(page))
    except StopIteration as end:
        found: End = end.value
        return found


def taught_together(courses: Mapping[Name, Course[End]], targets: Targets) -> Iterator[tuple[Name, End | Exception]]:
    """Take several courses of one recipe along in lock-step, so that each page's batch is made once for all.

    Those that are behind, after a resume say, are taught first until they have caught up. One that fails leaves, and
    the others do not notice.

    Args:
        courses: by name; all yield their pages in the same order.
        targets: where batches come from.

    Yields:
        Each name with what its course returned, or with the exception that ended it, as soon as it has ended.

    Raises:
        Exception: a batch could not be made, which is nobody's own failure.
    """
    wanted: dict[Name, Page] = {}
    for name, course in courses.items():
        try:
            wanted[name] = next(course)
        except StopIteration as end:
            yield name, end.value
        except Exception as error:
            yield name, error
    while wanted:
        page = min(wanted.values(), key=_order)
        batch = targets.batch(page)
        for name in [name for name, own in wanted.items() if own == page]:
            try:
                wanted[name] = courses[name].send(batch)
            except StopIteration as end:
                del wanted[name]
                yield name, end.value
            except Exception as error:
                del wanted[name]
                yield name, error


def _order(page: Page) -> tuple[bool, int, int]:
    """Training before validation, step by step, partition by partition; validation partition by partition."""
    if page.part == "train":
        return False, page.number, page.partition
    return True, page.partition, page.number
