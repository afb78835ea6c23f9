"""Who works on what: claims that a kill at any moment neither loses nor repeats, the same on every storage.

A trial is claimed by the one step of which the storage sees to it that only one succeeds: from waiting to running. All
else (a name in a trial, the next attempt of a lost one) is written down by whoever sees that it is missing.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from eradio.errors import EradioError
from eradio.files import read_json, sweep, write_json
from eradio.profile import Measurement
from eradio.search_space import Architecture, Network, SearchSpace, named, parse_network
from eradio.study.budget import Trials, open_places, out_of_time, places, room, spent
from eradio.study.config import StudyConfig
from eradio.study.halving import Decision, judge
from eradio.study.holding import Claim, Holding, Kind
from eradio.study.kept import told_before
from eradio.study.lease import Lease, Watch
from eradio.study.patience import Patience, once, patient
from eradio.study.records import FinalistRecord, TrialRecord
from eradio.study.recovery import fail, put_in_line, recover
from eradio.study.telling import attributes_of, complete, constraints_of
from eradio.study.trials import (
    ALONE,
    DIGEST,
    DUPLICATE,
    JOB,
    SECONDS,
    STEPS,
    THROUGHPUT,
    EndedError,
    attempt,
    decision,
    decision_key,
    for_others_sake,
    frozen_at,
    is_duplicate,
    is_surplus,
    loss_key,
    note,
    origin,
    pop,
    successors,
    throughputs,
    to_be_begun,
    to_be_retried,
    waits_again,
)
from eradio.study.twins import yielded

RECORD = "record.json"
STOP, IN_LINE = "stop", "in_line"
"""The candidates' study's attributes that end its workers, and say that what is tried first has been put in line."""

NETWORK_PARAMETER = "network"
_MOST_DRAWS_PER_TRIAL = 5


class Ledger:
    """The trials of a study: hands out claims, judges and tells results, recognises duplicates.

    Args:
        folder: of the run, on a file system that all workers share.
        config: of the study.
        space: that candidates are drawn from.
        studies: of candidates, baselines and finalists.
        names: of the baselines.
        began: when the study was begun, in seconds of the system's clock.
        watch: looks for trials whose workers are gone.
        patience: carries out what asks the storage, again if it does not answer; once is enough for a test.
    """

    def __init__(
        self,
        folder: Path,
        config: StudyConfig,
        space: SearchSpace,
        studies: Mapping[Kind, Study],
        names: Sequence[str],
        began: float = 0.0,
        watch: Watch | None = None,
        patience: Patience = once,
    ) -> None:
        self._folder = folder
        self._config = config
        self._space = space
        self._studies = studies
        self._names = list(names)
        self.began = began
        self.patience = patience
        self._watch = watch or Watch(config.lease)
        self.holding = Holding(config.lease)

    @patient
    def enqueue(self, seeds: Sequence[Network]) -> None:
        """Put the baselines and the networks that are tried first in line, once; twice would be seen through."""
        baselines, candidates = self._studies["baseline"], self._studies["candidate"]
        if candidates.user_attrs.get(IN_LINE):
            return
        for name in self._names:
            baselines.enqueue_trial({NETWORK_PARAMETER: name})
        for network in seeds:
            if not isinstance(network, Architecture):
                raise EradioError(f"'{network.name}' is no architecture of ours; give a member of the space.")
            candidates.enqueue_trial(self._space.encode(network))
        candidates.set_user_attr(IN_LINE, True)

    def recover(self) -> None:
        """End the trials whose workers are gone, and put in line again what can be helped."""
        me = Lease(owner=self.holding.owner, attempt=1, beat=0)
        recover(self._studies.values(), self._watch, self.holding.keys(), me)

    @patient
    def claim(self) -> Claim | None:
        """The next candidate, else the next baseline; None if there is nothing to claim now.

        Raises:
            EradioError: the space gives no new network any more.
        """
        self.recover()
        for kind in ("candidate", "baseline"):
            found = self._claim(kind)
            if found is not None:
                return found
        return None

    @patient
    def claim_finalist(self, jobs: Sequence[str]) -> Claim | None:
        """The next of some trained networks that are to be taught for longer, each named by its folder."""
        self.recover()
        if self._late():
            return None
        study = self._studies["finalist"]
        known = {_job(trial) for trial in study.get_trials(deepcopy=False) if not is_duplicate(trial)}
        for job in jobs:
            if (job, self._config.finalist_steps) not in known:
                study.enqueue_trial({}, user_attrs={JOB: job, STEPS: self._config.finalist_steps})
        return self._claim("finalist")

    @patient
    def finalists_finished(self, jobs: Sequence[str]) -> bool:
        """Whether all of these have ended, or the time has come to an end for those that are left."""
        trials = self._studies["finalist"].get_trials(deepcopy=False)
        if any(trial.state == TrialState.RUNNING for trial in trials):
            return False
        ended = {_job(trial) for trial in trials if trial.state.is_finished()}
        left = to_be_begun(trials) or any((job, self._config.finalist_steps) not in ended for job in jobs)
        return not left or self._late()

    @patient
    def finished(self) -> bool:
        """Whether all candidates and baselines have ended, or no time is left for the others."""
        trials = self._trials()
        if open_places(self._config, trials, self.began) > 0:
            return False
        candidates, rivals = trials["candidate"], trials["baseline"]
        if any(trial.state == TrialState.RUNNING for trial in (*candidates, *rivals)):
            return False
        # A named candidate may wait beyond the last place, and an attempt beyond the budget, for a larger one.
        again = any(waits_again(trial) for trial in candidates) or to_be_retried(candidates)
        if again and spent(self._config, trials, self.began) is None:
            return False
        return not to_be_begun(rivals) or out_of_time(self._config, trials, self.began) is not None

    @patient
    def out_of_time(self) -> bool:
        """Whether nothing may be begun any more, of whatever kind."""
        return self._late()

    @patient
    def measured(self, claim: Claim, measurements: Sequence[Measurement]) -> None:
        """Note what a network was measured at, which is what it is judged by at every rung.

        By now the networks of all trials that were drawn at the same time are known, so twins are looked for again.

        Raises:
            EndedError: the trial is not ours any more, or is a twin's.
        """
        self.holding.check(claim.key)
        speeds = [one.throughput.value for one in measurements]
        note(claim.study, claim.trial, {THROUGHPUT: speeds[0] if len(speeds) == 1 else speeds})
        if yielded(claim.study, claim.trial, claim.network):
            raise EndedError

    def wish(self) -> str | None:
        """What workers are asked: `drain`, no new trials; `now`, not even those under way; None to go on."""
        found: str | None = self._studies["candidate"].user_attrs.get(STOP)
        return found

    @patient
    def asked_to_stop(self) -> str | None:
        """The same, however long it takes to know it."""
        return self.wish()

    @patient
    def score(self, claim: Claim, steps: int, loss: float) -> None:
        """Note a candidate's loss at a rung; members of a cohort are judged once all have theirs.

        Raises:
            EndedError: the trial is not ours any more, or has ended as another one's duplicate.
        """
        self.holding.check(claim.key)
        if yielded(claim.study, claim.trial, claim.network, taught=True):
            raise EndedError
        note(claim.study, claim.trial, {loss_key(steps): loss})

    @patient
    def note(self, claim: Claim, attributes: Mapping[str, object]) -> None:
        """Write down what others may want to know of a trial: its cohort's size, or the seconds that it has cost.

        Raises:
            EndedError: the trial is not ours any more.
        """
        note(claim.study, claim.trial, attributes)

    @patient
    def earlier_seconds(self, claim: Claim) -> float:
        """Of the device, that earlier attempts at what was claimed have cost."""
        if claim.attempt == 1:
            return 0.0
        trials = claim.study.get_trials(deepcopy=False)
        earlier = [one for one in trials if origin(one) == claim.number and one.number != claim.trial.number]
        return float(sum(one.user_attrs.get(SECONDS, 0.0) for one in earlier))

    @patient
    def used_up(self) -> str | None:
        """Which part of the budget is used up, if one is, so that no candidate goes on to another rung."""
        return spent(self._config, self._trials(), self.began)

    @patient
    def reached(self, claim: Claim, steps: int) -> Decision:
        """Decide whether a candidate whose loss at a rung is noted goes on; what was decided once stands.

        Raises:
            EndedError: the trial is not ours any more.
        """
        self.holding.check(claim.key)
        trials = claim.study.get_trials(deepcopy=False)
        known = decision(trials[claim.trial.number], steps)
        if known is not None:
            return known
        points = {}
        for trial in trials:
            speeds = throughputs(trial)
            if loss_key(steps) in trial.user_attrs and speeds is not None and not is_duplicate(trial):
                points[origin(trial)] = [trial.user_attrs[loss_key(steps)], *(-speed for speed in speeds)]
        assert self._config.halving is not None
        own = list(points).index(claim.number)
        found = judge(list(points.values()), own, steps, self._config.halving.reduction)
        note(claim.study, claim.trial, {decision_key(steps): found.model_dump(mode="json")})
        return found

    @patient
    def tell(self, claim: Claim, record: TrialRecord | FinalistRecord) -> None:
        """Write the record, then tell the study; a kill between the two leaves a record that the next attempt tells.

        Raises:
            EndedError: the trial is not ours any more; the record, if it was written, stands.
        """
        self.holding.check(claim.key)
        if yielded(claim.study, claim.trial, claim.network, taught=True):
            self.holding.drop(claim.key)
            return
        trials = claim.study.get_trials(deepcopy=False)
        end = record.end if isinstance(record, TrialRecord) else None
        again = for_others_sake(trials, trials[claim.trial.number], end)
        if not again:
            write_json(claim.folder / RECORD, record.model_dump(mode="json"))
        if again and isinstance(record, FinalistRecord):  # one that has failed for good still has its rung's score
            fail(claim.study, claim.trial, "out-of-memory", record.reason or "")
        else:
            self._tell(claim.study, claim.trial, record, claim.folder)
        self.holding.drop(claim.key)

    @patient
    def hand_back(self, claim: Claim, reason: str) -> None:
        """Give up a trial that somebody else is to go on with."""
        self.holding.drop(claim.key)
        if fail(claim.study, claim.trial, "pre-empted", reason):
            put_in_line(claim.study, frozen_at(claim.study, claim.trial.number))

    def _trials(self) -> Trials:
        return {kind: study.get_trials(deepcopy=False) for kind, study in self._studies.items()}

    def _late(self) -> bool:
        return out_of_time(self._config, self._trials(), self.began) is not None

    def _claim(self, kind: Kind) -> Claim | None:
        study, claim = self._studies[kind], None
        while claim is None and (trial := self._take(kind)) is not None:
            try:
                with suppress(EndedError):
                    self.holding.take(study, trial, attempt(frozen_at(study, trial.number)))
                    claim = self._resolved(kind, trial)
            finally:
                if claim is None:  # also where the storage did not answer: nobody must beat for what nobody works on
                    self.holding.drop((study.study_name, trial.number))
        return claim

    def _take(self, kind: Kind) -> Trial | None:
        """A trial that nobody else has: one that is tried again, one that was put in line, or a new one."""
        study, all_trials = self._studies[kind], self._trials()
        trials = all_trials[kind]
        ends = spent if kind == "candidate" else out_of_time
        if ends(self._config, all_trials, self.began) is not None:
            return None
        left = room(self._config, all_trials) if kind == "candidate" else 1
        for one in sorted(trials, key=lambda trial: (attempt(trial) == 1, trial.number)):
            if one.state != TrialState.WAITING or (left < 1 and not waits_again(one)):
                continue
            if (trial := pop(study, one)) is not None:
                return trial
        if kind != "candidate" or left < 1:
            return None
        draws = sum(attempt(trial) == 1 and not is_surplus(trial) for trial in trials)
        if draws >= _MOST_DRAWS_PER_TRIAL * self._config.trials + 10:
            if any(trial.state == TrialState.RUNNING for trial in trials):
                return None  # what is there is taught first
            raise EradioError(
                f"{len(trials)} trials gave fewer than {self._config.trials} networks that can be taught. "
                f"Look at the reasons with `optuna trials`, or ask for fewer trials or a larger space."
            )
        return study.ask()

    def _resolved(self, kind: Kind, trial: Trial) -> Claim | None:
        """Find out which network a trial stands for, and end it at once if it is known already, or not needed."""
        study = self._studies[kind]
        trials = study.get_trials(deepcopy=False)
        frozen = trials[trial.number]
        # Looked at now that it is ours: Optuna's `ask` also takes what was put in line only a moment ago.
        first = successors(trials).get((origin(frozen), attempt(frozen)), frozen)
        if first.number != frozen.number:
            note(study, trial, {DUPLICATE: first.number})
            fail(study, trial, "duplicate", "two workers put the same attempt in line")
            return None
        folder = self.folder(kind, frozen)
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        if kind == "candidate" and self._surplus(frozen):
            fail(study, trial, "surplus", "another worker has filled the last place")
            return None
        try:
            name, network = self._network(kind, frozen, trial)
        except (EradioError, ValueError, TypeError) as error:  # the latter of parameters that are not of the space
            fail(study, trial, "infeasible", " ".join(str(error).split()))
            return None
        note(study, trial, {DIGEST: network.digest()})
        told = told_before(kind, folder / RECORD, self._config.finalist_steps)
        if told is not None and told.network_digest == network.digest():
            self._tell(study, trial, told, folder)
            return None
        if yielded(study, trial, network):
            return None
        alone = ALONE in frozen.user_attrs
        return Claim(kind, study, trial, origin(frozen), attempt(frozen), name, network, folder, alone)

    def folder(self, kind: Kind, trial: FrozenTrial) -> Path:
        """For a trial's files: one for all attempts."""
        own: str = trial.user_attrs.get(JOB, f"{origin(trial):04d}")
        return self._folder / f"{kind}s" / own

    def _network(self, kind: Kind, frozen: FrozenTrial, trial: Trial) -> tuple[str, Network]:
        if kind == "baseline":
            name = trial.suggest_categorical(NETWORK_PARAMETER, self._names)
            return name, named(name)
        if kind == "finalist":
            role, _, number = frozen.user_attrs[JOB].partition("-")
            path = self._folder / f"{role}s" / number / RECORD
            known = TrialRecord.parse(read_json(path), str(path))
            return known.name, parse_network(known.network, str(path))
        return f"trial {origin(frozen)}", self._space.suggest(trial)

    def _surplus(self, trial: FrozenTrial) -> bool:
        """Whether those that were begun before it fill all places; the same for whoever looks."""
        if attempt(trial) > 1 and DIGEST in trial.user_attrs:  # it had a place, if it had got so far
            return False
        taken = places(self._studies["candidate"].get_trials(deepcopy=False))
        return sum(number < origin(trial) for number in taken) >= self._config.trials

    def _tell(self, study: Study, trial: Trial, record: TrialRecord | FinalistRecord, folder: Path) -> None:
        if record.score is None or record.measurement is None:
            assert isinstance(record, TrialRecord)
            note(study, trial, attributes_of(record))
            if not fail(study, trial, record.end, record.reason or "no reason was recorded"):
                raise EndedError
            return
        files = [folder / "architecture.json", folder / RECORD]
        complete(study, trial, record, constraints_of(self._config, record), files, self._folder)


def _job(trial: FrozenTrial) -> tuple[str, int]:
    """What a finalist's trial is for."""
    return trial.user_attrs.get(JOB, ""), trial.user_attrs.get(STEPS, 0)
