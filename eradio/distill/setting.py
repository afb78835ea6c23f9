"""Where and how a recipe is carried out: nothing here changes what is computed, but for rounding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eradio.distill.pages import Page
from eradio.distill.recipe import Recipe
from eradio.errors import EradioError


def setting_for(device: str, micro_batch: int | None, checkpointing: bool) -> "Setting":
    """What the command line asks for.

    Raises:
        EradioError: there is no such device here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise EradioError(f"--device must be auto, cpu or cuda, not '{device}'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise EradioError("No GPU can be used here, so --device cuda is not possible. Give --device cpu.")
    return Setting(device, micro_batch, checkpointing)


@dataclass(frozen=True)
class Share:
    """The part of a partition's batch that one process computes."""

    partition: int
    rows: range
    batch: int
    """Pictures of the whole batch."""

    def of(self, page: Page) -> Page:
        """What this process computes of a page: its rows of those that are meant."""
        given = range(self.batch) if page.rows is None else page.rows
        own = range(max(given.start, self.rows.start), max(given.start, min(given.stop, self.rows.stop)))
        return page if own == given else page._replace(rows=own)

    def pages(self, pages: Sequence[Page]) -> list[Page]:
        """What this process computes of some pages, given those of all partitions; no page of which it has nothing."""
        own = [self.of(page) for page in pages if page.partition == self.partition]
        return [page for page in own if page.rows is None or page.rows]

    def turns(self, pages: Sequence[Page]) -> list[Page]:
        """Whole pages in turn with the partition's other processes: every so many of its partition's."""
        own = [page for page in pages if page.partition == self.partition]
        return own[self.rows.start // len(self.rows) :: self.batch // len(self.rows)]


@dataclass(frozen=True)
class Setting:
    """One process of a run."""

    device: str = "cpu"
    micro_batch: int | None = None
    """Pictures of one forward pass; None for all of the process' own."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them."""
    rank: int = 0
    processes: int = 1

    def shares(self, recipe: Recipe, *, norms: bool = True) -> list[Share]:
        """What this process computes in each step.

        One process takes every partition in turn; several are divided among the partitions, and each takes equal
        parts of one batch (AM-RADIO, arXiv 2312.06709, section 3.4).

        Args:
            recipe: whose partitions.
            norms: whether the student has batch norms, whose groups must stay whole.

        Raises:
            EradioError: processes, batches, groups and micro-batches do not divide one another.
        """
        if self.processes == 1:
            shares = [Share(number, range(one.batch), one.batch) for number, one in enumerate(recipe.partitions)]
        else:
            shares = [self._own(recipe)]
        for share in shares:
            self._check(share, recipe, norms)
        return shares

    def pieces(self, rows: int, most: int) -> list[slice]:
        """Micro-batches of so many pictures, given how many of them a forward pass may have at most."""
        size = min(self.micro_batch or most, most)
        return [slice(start, start + size) for start in range(0, rows, size)]

    def _own(self, recipe: Recipe) -> Share:
        wanted = [one.processes for one in recipe.partitions]
        if self.processes % sum(wanted):
            raise EradioError(
                f"{self.processes} processes cannot be divided among partitions as {':'.join(map(str, wanted))}. "
                f"Start a multiple of {sum(wanted)}."
            )
        each, first = self.processes // sum(wanted), 0
        for number, one in enumerate(recipe.partitions):
            count = one.processes * each
            if self.rank < first + count:
                if one.batch % count:
                    raise EradioError(
                        f"A batch of {one.batch} pictures cannot be divided among {count} processes. "
                        "Change 'batch' in the recipe, or the number of processes."
                    )
                size = one.batch // count
                start = (self.rank - first) * size
                return Share(number, range(start, start + size), one.batch)
            first += count
        raise AssertionError(f"rank {self.rank} of {self.processes}")

    def _check(self, share: Share, recipe: Recipe, norms: bool) -> None:
        own = len(share.rows)
        size = min(self.micro_batch or own, own)
        if own % size:
            raise EradioError(f"The {own} pictures of a process are not whole micro-batches of {size}. Give another.")
        asked = recipe.partitions[share.partition].group
        group = asked or share.batch
        if norms and size % group:
            what = f"groups of {asked}" if asked else f"the whole batch of {share.batch}"
            raise EradioError(
                f"Batch norm takes its statistics over {what} pictures, so a forward pass cannot be of {size}. "
                f"Give the partition a 'group' that divides {size}: it changes what is trained."
            )
