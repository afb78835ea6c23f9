"""Who works on what: claims on a run folder, such that a kill at any moment loses and repeats nothing.

A claim is an exclusive lock on the job's folder, which the kernel gives back when the worker dies; a trial that
is RUNNING in the study while nobody holds its folder is an orphan, and the next worker adopts it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.files import read_json, sweep, write_json
from eradio.locks import locked, try_lock
from eradio.search_space import Architecture, Network, SearchSpace, named
from eradio.study.config import StudyConfig
from eradio.study.records import Role, TrialRecord
from eradio.study.storage import sampler

RECORD = "record.json"
_DEATHS = "deaths.json"
_MOST_DEATHS = 2
_MOST_ATTEMPTS_PER_TRIAL = 5
NETWORK_PARAMETER = "network"


@dataclass(frozen=True)
class Claim:
    """One trial in this worker's hands, with the folder that is locked for it."""

    role: Role
    study: Study
    trial: Trial
    name: str
    network: Network
    folder: Path
    lock: int

    def release(self) -> None:
        """Give the folder's lock back."""
        os.close(self.lock)


class Ledger:
    """The trials of a run folder: hands out claims, tells results, recognises duplicates."""

    def __init__(
        self,
        folder: Path,
        config: StudyConfig,
        space: SearchSpace,
        studies: tuple[Study, Study],
        names: list[str],
    ) -> None:
        self._folder = folder
        self._config = config
        self._space = space
        self._candidates, self._baselines = studies
        self._names = names

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Hold the one lock under which trials change hands."""
        with locked(self._folder / "claim.lock", timeout=600):
            yield

    def enqueue(self, seeds: list[Network]) -> None:
        """Put the baselines and the space's named points in line, once."""
        with self.claiming():
            waiting = len(self._baselines.get_trials(deepcopy=False))
            for name in self._names[waiting:]:
                self._baselines.enqueue_trial({NETWORK_PARAMETER: name})
            known = len(self._candidates.get_trials(deepcopy=False))
            for network in seeds[known:]:
                if not isinstance(network, Architecture):
                    raise EradioError(f"'{network.name}' is no architecture of ours; give a member of the space.")
                self._candidates.enqueue_trial(self._space.encode(network))

    def claim(self) -> Claim | None:
        """The next job: an orphan, else a new candidate, else a baseline; None if there is nothing to claim now.

        Raises:
            EradioError: the space gives no new network any more.
        """
        with self.claiming():
            return self._adopt() or self._new_candidate() or self._next_baseline()

    def finished(self) -> bool:
        """Whether all candidates and baselines have ended."""
        with self.claiming():
            if self._open_places() > 0:
                return False
            running = (TrialState.RUNNING,)
            # A named candidate may wait beyond the last place: a larger budget will come to it.
            busy = self._candidates.get_trials(deepcopy=False, states=running)
            return not busy and not self._baselines.get_trials(deepcopy=False, states=(*running, TrialState.WAITING))

    def tell(self, claim: Claim, record: TrialRecord) -> None:
        """Write the record, then tell the study; a kill between the two leaves an orphan whose record stands."""
        write_json(claim.folder / RECORD, record.model_dump(mode="json"))
        self._tell(claim.study, claim.trial, record)

    def _adopt(self) -> Claim | None:
        pairs: tuple[tuple[Study, Role], ...] = (
            (self._candidates, "candidate"),
            (self._baselines, "baseline"),
        )
        for study, role in pairs:
            for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                lock = try_lock(self._trial_folder(role, frozen.number) / "lock")
                if lock is None:
                    continue
                if not self._is_running(study, frozen.number):
                    # Its owner told it between our look and our lock.
                    os.close(lock)
                    continue
                claim = self._open(study, role, Trial(study, frozen._trial_id), lock)
                if claim is not None:
                    return claim
        return None

    def _is_running(self, study: Study, number: int) -> bool:
        return study.get_trials(deepcopy=False)[number].state == TrialState.RUNNING

    def _new_candidate(self) -> Claim | None:
        while self._open_places() > 0:
            trials = self._candidates.get_trials(deepcopy=False)
            if len(trials) >= _MOST_ATTEMPTS_PER_TRIAL * self._config.trials + 10:
                raise EradioError(
                    f"{len(trials)} trials gave fewer than {self._config.trials} networks that can be taught. "
                    f"Look at the reasons with `optuna trials`, or ask for fewer trials or a larger space."
                )
            seed = int(digest_of([self._config.seed, len(trials)]), 16) % 2**32
            self._candidates.sampler = sampler(self._config.sampler, seed)
            claim = self._open(self._candidates, "candidate", self._candidates.ask())
            if claim is not None:
                return claim
        return None

    def _next_baseline(self) -> Claim | None:
        while self._baselines.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            claim = self._open(self._baselines, "baseline", self._baselines.ask())
            if claim is not None:
                return claim
        return None

    def _open(self, study: Study, role: Role, trial: Trial, lock: int | None = None) -> Claim | None:
        """Find out which network a trial stands for, and end it at once if it is known already or hopeless."""
        folder = self._trial_folder(role, trial.number)
        lock = try_lock(folder / "lock") if lock is None else lock
        if lock is None:
            return None
        claim = self._resolve(study, role, trial, folder, lock)
        if claim is None:
            os.close(lock)
        return claim

    def _resolve(self, study: Study, role: Role, trial: Trial, folder: Path, lock: int) -> Claim | None:
        sweep(folder)
        if (folder / RECORD).exists():
            self._tell(study, trial, TrialRecord.parse(read_json(folder / RECORD), str(folder / RECORD)))
            return None
        try:
            name, network = self._network(role, trial)
        except EradioError as error:
            self._fail(study, trial, str(error))
            return None
        trial.set_user_attr("digest", network.digest())
        if role == "candidate" and self._known(study, trial, network):
            return None
        hopeless = hopeless_reason(folder)
        if hopeless:
            self._fail(study, trial, hopeless)
            return None
        return Claim(role, study, trial, name, network, folder, lock)

    def _network(self, role: Role, trial: Trial) -> tuple[str, Network]:
        if role == "baseline":
            name = trial.suggest_categorical(NETWORK_PARAMETER, self._names)
            return name, named(name)
        return f"trial {trial.number}", self._space.suggest(trial)

    def _known(self, study: Study, trial: Trial, network: Network) -> bool:
        """End a trial whose network another one has: with its values if it is complete, without if it is not."""
        digest = network.digest()
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number or other.user_attrs.get("digest") != digest:
                continue
            if "duplicate_of" in other.user_attrs or other.state == TrialState.WAITING:
                continue
            if other.state == TrialState.RUNNING and other.number > trial.number:
                continue
            trial.set_user_attr("duplicate_of", other.number)
            if other.state == TrialState.COMPLETE:
                study.tell(trial, other.values)
            else:
                self._fail(study, trial, f"the same network as trial {other.number}, which has not completed")
            return True
        return False

    def _tell(self, study: Study, trial: Trial, record: TrialRecord) -> None:
        trial.set_user_attr("words", record.words)
        if record.state == "failed" or record.score is None or record.measurement is None:
            self._fail(study, trial, record.reason or "no reason was recorded")
            return
        interval = record.measurement.throughput
        trial.set_user_attr("images_per_second_95", [interval.low, interval.high])
        trial.set_user_attr("parameters", record.measurement.parameters)
        trial.set_user_attr("gmacs", record.measurement.gmacs)
        study.tell(trial, [record.score.loss, interval.value])

    def _fail(self, study: Study, trial: Trial, reason: str) -> None:
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=TrialState.FAIL)

    def _open_places(self) -> int:
        states = (TrialState.COMPLETE, TrialState.RUNNING)
        trials = self._candidates.get_trials(deepcopy=False, states=states)
        return self._config.trials - sum("duplicate_of" not in trial.user_attrs for trial in trials)

    def _trial_folder(self, role: str, number: int) -> Path:
        return self._folder / f"{role}s" / f"{number:04d}"


def count_death(folder: Path) -> None:
    """Note that a worker died on the job of this folder, so that it is not tried for ever."""
    path = folder / _DEATHS
    write_json(path, (read_json(path) if path.exists() else 0) + 1)


def hopeless_reason(folder: Path) -> str | None:
    """Why the job of this folder is not to be tried again, if workers died on it too often."""
    path = folder / _DEATHS
    if not path.exists() or read_json(path) < _MOST_DEATHS:
        return None
    return f"its worker died {_MOST_DEATHS} times, most likely for want of memory"


def read_records(folder: Path, studies: tuple[Study, Study]) -> list[TrialRecord]:
    """The records of all ended trials, candidates first; those that ended without one are made up from the study."""
    records = []
    roles: tuple[Role, Role] = ("candidate", "baseline")
    for study, role in zip(studies, roles, strict=True):
        for trial in study.get_trials(deepcopy=False):
            if trial.state in (TrialState.RUNNING, TrialState.WAITING):
                continue
            path = folder / f"{role}s" / f"{trial.number:04d}" / RECORD
            if path.exists():
                records.append(_record_at(path, path.stat().st_mtime_ns))
            else:
                records.append(_record_of(trial, role))
    return records


@lru_cache(maxsize=1 << 14)
def _record_at(path: Path, written: int) -> TrialRecord:
    """The record in a file; read once, since the display asks every second and a record never changes."""
    return TrialRecord.parse(read_json(path), str(path))


def _record_of(trial: FrozenTrial, role: Role) -> TrialRecord:
    duplicate = trial.user_attrs.get("duplicate_of")
    name = trial.params.get(NETWORK_PARAMETER, f"trial {trial.number}")
    return TrialRecord(
        role=role,
        number=trial.number,
        name=name,
        network_digest=trial.user_attrs.get("digest", ""),
        network={},
        words=trial.user_attrs.get("words", ""),
        state="complete" if trial.state == TrialState.COMPLETE else "failed",
        reason=trial.user_attrs.get("reason"),
        duplicate_of=duplicate,
    )


optuna.logging.disable_default_handler()
