"""What students that are taught by one recipe have in common: pictures, teachers, and how their answers are come by."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, track

from eradio.distill.cache import CachedTargets
from eradio.distill.choice import Agree, choose
from eradio.distill.data import Dataset, open_data
from eradio.distill.folder import FolderPictures
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import pages
from eradio.distill.processes import wait_for_all
from eradio.distill.recipe import Recipe
from eradio.distill.scales import read_scales, write_scales
from eradio.distill.setting import Setting
from eradio.distill.targets import LiveTargets, Targets
from eradio.distill.teachers.compiled import worth_compiling
from eradio.errors import EradioError
from eradio.files import read_json, write_json

_SCALES, _CHOICE = "scales.safetensors", "targets.json"


@dataclass(frozen=True)
class Classroom:
    """Of one run: its recipe, where it is carried out, and where cached targets are kept.

    Attributes:
        cache: folder of cached targets, or None for the first student's own.
        agree: asked before much is written.
    """

    recipe: Recipe
    setting: Setting
    console: Console
    cache: Path | None
    agree: Agree

    @cached_property
    def data(self) -> tuple[Dataset, Dataset]:
        """Training and validation pictures; the first process looks at every file."""
        both = open_data(self.recipe)
        if isinstance(both[0], FolderPictures) and self.setting.rank == 0:
            both[0].check()
        return both

    @cached_property
    def live(self) -> LiveTargets:
        """The teachers, as they answer."""
        device, shares = self.setting.device, self.setting.shares(self.recipe, norms=False)
        at_once = self.setting.micro_batch or max(len(share.rows) for share in shares)
        compiled = worth_compiling(device, self.recipe.steps)
        return LiveTargets(self.recipe, *self.data, device=device, compiled=compiled, at_once=at_once)

    @cached_property
    def shapes(self) -> tuple[TeacherShape, ...]:
        """The teachers' names and widths, for the heads."""
        return tuple(TeacherShape(one.name, one.summary_width, one.spatial_width) for one in self.live.teachers)

    def targets(self, folders: Sequence[Path]) -> Targets:
        """Where batches come from: balanced, and live, shared or cached, as the first call settled.

        Args:
            folders: of the students; each keeps the scales and what was settled.
        """
        live = self._balanced(folders)
        cached = CachedTargets(live, self.cache or folders[0] / "targets")
        known = _known(folders, _CHOICE)
        if self.setting.rank == 0:
            if known is None:
                choice = asdict(
                    choose(
                        live,
                        cached,
                        steps=self.recipe.steps,
                        free=free_bytes(self.cache or folders[0]),
                        given=self.cache is not None,
                        students=len(folders),
                        together=len(folders) > 1,
                        agree=self.agree,
                    )
                )
            else:
                choice = read_json(known)
            for folder in folders:
                write_json(folder / _CHOICE, choice)
        wait_for_all()
        if self.setting.processes > 1:
            live.rest()  # the first process has asked those of all partitions
        choice = read_json(folders[0] / _CHOICE)
        self.console.print(f"{choice['why']}.", markup=False)
        return cached if choice["kind"] == "cached" else live

    def fill(self, targets: CachedTargets, begun: int, workers: int, progress: Progress) -> None:
        """Have each process ask its teachers for a part of the batches that are not cached yet.

        One by one, as training comes to them, a batch would be asked for by one process while all others wait.

        Args:
            targets: keeps what is asked for.
            begun: the first step that is yet to be taken.
            workers: processes that make pictures ahead.
            progress: told of each batch.
        """
        (share,) = self.setting.shares(self.recipe, norms=False)
        every = pages(self.recipe, range(begun, self.recipe.steps), len(self.data[1]))
        own = share.turns(targets.missing(every))
        wait_for_all()  # while some still look at what is missing, nobody adds to it
        ahead = self.live.ahead.of([page for page in own if page.part == "train"], workers)
        task = progress.add_task("asking the teachers", total=len(own), loss="")
        with ahead:
            for _ in targets.fill(own):
                progress.advance(task)
        progress.remove_task(task)
        wait_for_all()

    def _balanced(self, folders: Sequence[Path]) -> LiveTargets:
        if not self.recipe.needs_scales():
            return self.live
        known = _known(folders, _SCALES)
        if self.setting.rank == 0:
            if known is None:
                self.console.print(f"Measuring the teachers' scales on {self.recipe.balance.pictures} pictures.")
            shown = partial(track, console=self.console, transient=True, disable=not self.console.is_terminal)
            scales = self.live.measured_scales(shown) if known is None else read_scales(known)
            for folder in folders:
                path = folder / _SCALES
                if not path.exists():
                    write_scales(path, scales)
                elif any(scales[name].digest() != one.digest() for name, one in read_scales(path).items()):
                    raise EradioError(f"{folder} was begun with other scales of the teachers; teach it by itself.")
        wait_for_all()
        return self.live.balanced(read_scales(folders[0] / _SCALES))


def free_bytes(folder: Path) -> int:
    """Room on the disk that a folder is on, or is going to be."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free


def _known(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).exists()), None)
