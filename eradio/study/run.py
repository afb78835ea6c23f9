"""A run folder: everything one study leaves on the disk, and how it is opened again."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from optuna.study import Study

from eradio.distill.cache import CachedTargets, cache_identity
from eradio.distill.data import Dataset, open_data
from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import ScenesData, training_identity
from eradio.distill.targets import LiveTargets, Page, Targets, pages
from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.locks import DeviceLock, default_lock_folder
from eradio.search_space import Network, SearchSpace, baselines
from eradio.study.config import StudyConfig, changed_keys
from eradio.study.downstream import Bench
from eradio.study.ledger import Ledger
from eradio.study.storage import open_studies


@dataclass(frozen=True)
class Run:
    """An opened run folder and its configuration."""

    folder: Path
    config: StudyConfig

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of the study."""
        return SearchSpace.named(self.config.space)

    @cached_property
    def baselines(self) -> dict[str, Network]:
        """The rivals that go through the same recipe, by name."""
        return {} if self.config.baselines == "none" else dict(baselines(self.config.baselines))

    @cached_property
    def studies(self) -> tuple[Study, Study]:
        """The Optuna studies of candidates and baselines."""
        return open_studies(self.folder, self.config)

    @cached_property
    def ledger(self) -> Ledger:
        """Who works on what."""
        return Ledger(self.folder, self.config, self.space, self.studies, list(self.baselines))

    @cached_property
    def data(self) -> tuple[Dataset, Dataset]:
        """Training and validation pictures."""
        return open_data(self.config.recipe)

    @cached_property
    def live(self) -> LiveTargets:
        """The teachers, asked anew each time."""
        return LiveTargets(self.config.recipe, *self.data, guard=self.device.training)

    @cached_property
    def cached(self) -> CachedTargets:
        """The teachers, asked once a page."""
        identity = cache_identity(self.config.recipe, self.data, [t.digest for t in self.live.teachers])
        return CachedTargets(self.live, self.folder / "targets" / identity)

    @cached_property
    def targets(self) -> Targets:
        """The source of batches that the search settled on when it started."""
        choice = read_json(self.folder / "targets.json")
        return self.cached if choice["cached"] else self.live

    @cached_property
    def device(self) -> DeviceLock:
        """The lock between this host's training steps and measurements."""
        return DeviceLock(default_lock_folder(), "cpu")

    @cached_property
    def bench(self) -> Bench | None:
        """Labelled test pictures, where the study is of the embedded world."""
        return Bench(self.live.teachers) if isinstance(self.config.recipe.data, ScenesData) else None

    def shapes(self) -> tuple[TeacherShape, ...]:
        """The teachers' names and widths, for the heads."""
        return tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in self.live.teachers)

    def pages(self, steps: range) -> list[Page]:
        """Validation and the training pages of some steps."""
        return pages(self.config.recipe, steps, len(self.data[1]))

    def training_identity(self, network: Network) -> str:
        """Under which this network's training is known."""
        return training_identity(network.digest(), self.config.recipe, self.data[0].digest)


def open_run(folder: Path, config: StudyConfig | None = None) -> Run:
    """Open a run folder, creating it if a configuration is given.

    Raises:
        EradioError: there is no run, or it was started with another configuration.
    """
    path = folder / "study.json"
    if config is None:
        if not path.exists():
            raise EradioError(f"{folder} is no run folder (it has no study.json). Give the folder of a search.")
        return Run(folder, StudyConfig.parse(read_json(path), str(path)))
    if path.exists():
        stored = StudyConfig.parse(read_json(path), str(path))
        if stored.identity() != config.identity():
            keys = changed_keys(stored.model_dump(mode="json"), config.model_dump(mode="json"))
            raise EradioError(
                f"{folder} holds a study with another configuration (different: {', '.join(keys)}). "
                f"Give another folder with --out, or the configuration it was started with."
            )
    write_json(path, config.model_dump(mode="json"))
    return Run(folder, config)
