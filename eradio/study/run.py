"""A run folder: everything one study leaves on the disk, and how it is opened again."""

import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from optuna.study import Study
from optuna.trial import FrozenTrial
from torch import Tensor

from eradio.description import digest_of
from eradio.distill.cache import CachedTargets
from eradio.distill.data import Dataset, open_data, whole_pictures
from eradio.distill.folder import FolderPictures
from eradio.distill.heads import TeacherShape
from eradio.distill.pages import Page, pages
from eradio.distill.recipe import CODE_EPOCH, ScenesData, training_identity
from eradio.distill.scales import Scales, read_scales, write_scales
from eradio.distill.setting import Setting, setting_for
from eradio.distill.targets import LiveTargets, Targets
from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.locks import DeviceLock, default_lock_folder, locked
from eradio.manifest import environment
from eradio.profile import Target
from eradio.profile.record import environment_of
from eradio.search_space import Network, SearchSpace, baselines, named
from eradio.study.address import VARIABLE, Address, study_address
from eradio.study.config import StudyConfig, changed_keys
from eradio.study.downstream import Bench
from eradio.study.holding import Kind
from eradio.study.ledger import Ledger
from eradio.study.patience import patiently
from eradio.study.refusals import storage_refusals
from eradio.study.samplers import sampler
from eradio.study.storage import objectives, open_studies

_CALIBRATION_PICTURES = 64

CONFIG, DIGESTS, BEGAN, TOKEN = "config", "digests", "began", "token"
"""Attributes of the candidates' study: what it is, what it is made of, when it was begun, and what its run folder also
holds, so that neither is ever taken for another's."""

_PATIENCE_SECONDS = 600.0
"""For which a worker waits for its storage."""

_SCALES_SECONDS = 3600.0
"""The first worker asks large teachers for a thousand pictures meanwhile."""

_MACHINE = ("machine", "cpu", "cores", "gpu", "driver", "cuda", "libraries")
"""What a throughput must have in common with another to stand on one front, as `environment` names it."""


@dataclass(frozen=True)
class Run:
    """An opened run folder and its configuration."""

    folder: Path
    config: StudyConfig
    """Its `storage` holds no password."""
    address: Address
    """Where the study's trials are kept."""

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of the study."""
        return SearchSpace.named(self.config.space)

    @cached_property
    def baselines(self) -> dict[str, Network]:
        """The rivals that go through the same recipe, by name."""
        return {} if self.config.baselines == "none" else dict(baselines(self.config.baselines))

    @cached_property
    def studies(self) -> dict[Kind, Study]:
        """The Optuna studies of candidates, baselines and finalists."""
        return open_studies(self.address, self.config.name, objectives(self.config.targets))

    def trials(self) -> dict[Kind, list[FrozenTrial]]:
        """All trials as they stand now."""
        with storage_refusals(self.address):
            return {kind: study.get_trials(deepcopy=False) for kind, study in self.studies.items()}

    def candidates(self) -> list[FrozenTrial]:
        """Those of candidates."""
        return self.trials()["candidate"]

    @cached_property
    def ledger(self) -> Ledger:
        """Who works on what."""
        patience = partial(patiently, seconds=_PATIENCE_SECONDS, address=self.address)
        began = float(patience(lambda: self.studies["candidate"].user_attrs).get(BEGAN, time.time()))
        names = list(self.baselines)
        return Ledger(self.folder, self.config, self.space, self.studies, names, began, patience=patience)

    @cached_property
    def data(self) -> tuple[Dataset, Dataset]:
        """Training and validation pictures."""
        return open_data(self.config.recipe)

    @cached_property
    def setting(self) -> Setting:
        """Where this process teaches: on the GPU, where it sees one."""
        return setting_for("auto", None, checkpointing=False)

    @cached_property
    def asked(self) -> LiveTargets:
        """The teachers, asked anew each time, as they answer."""
        return LiveTargets(self.config.recipe, *self.data, guard=self.device.training, device=self.setting.device)

    def rest(self) -> None:
        """Give back the memory that the teachers take on a GPU, until they are asked again."""
        self.asked.rest()
        if self.setting.device == "cuda":
            torch.cuda.empty_cache()

    @cached_property
    def live(self) -> LiveTargets:
        """The same, balanced as the recipe says."""
        return self.asked.balanced(self.scales)

    @cached_property
    def scales(self) -> Scales:
        """How the recipe balances the teachers' answers: measured by the first worker, read by all others."""
        if not self.config.recipe.needs_scales():
            return {}
        path = self.folder / "scales.safetensors"
        with locked(self.folder / "scales.lock", timeout=_SCALES_SECONDS):
            if not path.exists():
                write_scales(path, self.asked.measured_scales())
        return read_scales(path)

    @cached_property
    def cached(self) -> CachedTargets:
        """The teachers, asked once a page."""
        return CachedTargets(self.live, self.folder / "targets")

    @cached_property
    def targets(self) -> Targets:
        """The source of batches that the search settled on when it started."""
        choice = read_json(self.folder / "targets.json")
        return self.cached if choice["kind"] == "cached" else self.live

    @property
    def cohort(self) -> int:
        """How many candidates a worker teaches together: one, where no pass of the teachers is to be shared."""
        shared = read_json(self.folder / "targets.json")["kind"] == "shared"
        return self.config.cohort if shared else 1

    @cached_property
    def device(self) -> DeviceLock:
        """The lock between this host's training steps and measurements."""
        device = self.config.target.device
        # Each GPU is a device of its own, and so is a worker's set of them.
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "") if device == "cuda" else ""
        return DeviceLock(default_lock_folder(), f"{device}-{re.sub('[^0-9A-Za-z]+', '-', seen)}" if seen else device)

    @cached_property
    def bench(self) -> Bench | None:
        """Labelled test pictures, where the study is of the embedded world."""
        return Bench(self.asked.teachers) if isinstance(self.config.recipe.data, ScenesData) else None

    def check(self) -> dict[str, str]:
        """Open all that the study is made of, before anything is written, and return its digests.

        Raises:
            EradioError: a sampler, a space, a network, a teacher or the pictures are missing or cannot be read.
        """
        sampler(self.config.sampler, self.config.seed)
        for name in self.config.named:
            named(name)
        for data in self.data:
            if isinstance(data, FolderPictures):
                data.check()
        return {
            "study": self.config.identity(),
            "space": self.space.digest(),
            "code epoch": str(CODE_EPOCH),
            "baselines": digest_of({name: network.digest() for name, network in self.baselines.items()}),
            "device for teaching": self.setting.device,
            "machine and libraries": digest_of({key: environment_of(self.config.target)[key] for key in _MACHINE}),
            "training data": self.data[0].digest,
            "validation data": self.data[1].digest,
            **{f"teacher {teacher.name}": teacher.digest for teacher in self.asked.teachers},
        }

    def begin(self, digests: dict[str, str]) -> None:
        """Write down what the study is; a study that goes on must still be made of the same.

        Raises:
            EradioError: something it is made of has changed since, or the folder cannot be written.
        """
        facts = self.folder / "facts.json"
        if facts.exists():
            before = read_json(facts)["digests"]
            changed = sorted(name for name in digests.keys() | before.keys() if digests.get(name) != before.get(name))
            if changed:
                raise EradioError(
                    f"Since {self.folder} was begun, its {', '.join(changed)} changed, so old and new results could "
                    "not be compared. Bring it back, or begin another study with --out."
                )
        study = self.studies["candidate"]
        kept = read_json(facts) if facts.exists() else {}
        own, theirs = kept.get(TOKEN), study.user_attrs.get(TOKEN)
        unused = theirs is None and not any(self.folder.glob("candidates/*"))  # cut off before the study knew of it
        if own is not None and own != theirs and not unused:
            raise EradioError(
                f"{self.folder} belongs to another study than '{self.config.name}' in {self.address}; its trials are "
                f"in {kept['storage']}. Give that storage (storage, {VARIABLE}), or another folder with --out."
            )
        if own is None and theirs is not None:
            raise EradioError(
                f"The study '{self.config.name}' in {self.address} has another run folder than {self.folder}. Give "
                "that one with --out, on a file system that all workers share, or give this study another name."
            )
        before = study.user_attrs.get(DIGESTS, digests)
        if before != digests:
            raise EradioError(
                f"The study '{self.config.name}' in {self.address} was begun with another "
                f"{', '.join(changed_keys(before, digests))}. Give this one another name."
            )
        write_json(self.folder / "study.json", self.config.model_dump(mode="json"))
        token = own or secrets.token_hex(8)
        known = {"environment": environment(), "digests": digests, TOKEN: token, "storage": str(self.address)}
        write_json(facts, known)
        if theirs != token:
            study.set_user_attr(TOKEN, token)
        if DIGESTS not in study.user_attrs:  # and so the last that is set: a kill before it is made up for
            study.set_user_attr(CONFIG, self.config.model_dump(mode="json"))
            study.set_user_attr(BEGAN, time.time())
            study.set_user_attr(DIGESTS, digests)

    def calibration(self, target: Target) -> Tensor:
        """Training pictures from which an engine learns the ranges of 8-bit integers: [N, 3, R, R]."""
        return whole_pictures(self.data[0], target.resolution, max(_CALIBRATION_PICTURES, target.batch))

    def shapes(self) -> tuple[TeacherShape, ...]:
        """The teachers' names and widths, for the heads."""
        return tuple(TeacherShape(t.name, t.summary_width, t.spatial_width) for t in self.asked.teachers)

    def pages(self, steps: range) -> list[Page]:
        """Validation and the training pages of some steps."""
        return pages(self.config.recipe, steps, len(self.data[1]))

    def training_identity(self, network: Network) -> str:
        """Under which this network's training is known."""
        return training_identity(network.digest(), self.config.recipe, self.data[0].digest)


def open_run(folder: Path, config: StudyConfig | None = None, environment: Mapping[str, str] = os.environ) -> Run:
    """Open a run folder, or with a configuration one that is yet to be begun.

    Args:
        folder: of the run.
        config: of the study; None for what the folder says.
        environment: may say where the trials are (see `eradio.study.address`).

    Raises:
        EradioError: there is no run, or it was started with another configuration.
    """
    path = folder / "study.json"
    if config is None:
        if not path.exists():
            raise EradioError(f"{folder} is no run folder (it has no study.json). Give the folder of a search.")
        return _run(folder, StudyConfig.parse(read_json(path), str(path)), environment)
    if path.exists() and (folder / "facts.json").exists():  # else it was launched, and never begun
        stored = StudyConfig.parse(read_json(path), str(path))
        if stored.identity() != config.identity():
            keys = changed_keys(stored.lasting(), config.lasting())
            raise EradioError(
                f"{folder} holds a study with another configuration (different: {', '.join(keys)}). "
                f"Give another folder with --out, or the configuration it was started with."
            )
    return _run(folder, config, environment)


def _run(folder: Path, config: StudyConfig, environment: Mapping[str, str]) -> Run:
    address = study_address(folder, config.storage, environment)
    embedded = address == study_address(folder, None, {})
    return Run(folder, config.model_copy(update={"storage": None if embedded else address.open_text}), address)
