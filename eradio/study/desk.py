"""What one worker does with the trials it holds: picks a cohort, teaches it, and sees each member on or off."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Protocol

from eradio.distill.checkpoint import CheckpointFolder
from eradio.distill.stopping import StoppedError
from eradio.errors import BuildError, NoMemoryError, PassingError, memory_was_short, networks_own
from eradio.gpu import gpu_lost
from eradio.profile import Watch
from eradio.study import finalists, recovery
from eradio.study.cohorts import next_rung
from eradio.study.ends import End
from eradio.study.holding import Claim
from eradio.study.memory import CrowdedError
from eradio.study.objective import Pupil, Reached, begin, code_of, reason, record_of, teach
from eradio.study.records import FinalistRecord, TrialRecord
from eradio.study.run import Run
from eradio.study.samplers import sampler
from eradio.study.trials import COHORT, CROWDED, SECONDS, EndedError

_MOST_REST_SECONDS = 600.0


class Show(Protocol):
    """Tells others what the worker is doing."""

    def __call__(self, job: str, folder: Path | None, step: int, steps: int, together: int = 1) -> None:
        """A job's name, its folder, how far it is, and how many networks are at the same step."""
        ...


class Desk:
    """The pupils of one worker.

    Args:
        run: they belong to.
        rungs: training steps at which they are judged; the last one ends their training.
        size: how many are taught together.
        stop: asked after each step whether to keep what is done and end.
        show: told of every step.
        ending: meanwhile a wish to stop ends what is under way at once, by a StoppedError; gives what looks for one.
    """

    def __init__(
        self,
        run: Run,
        rungs: Sequence[int],
        size: int,
        stop: Callable[[], bool],
        show: Show,
        ending: Callable[[], AbstractContextManager[Watch | None]] = nullcontext,
    ) -> None:
        self._run = run
        self._rungs = rungs
        self._size = size
        self._stop = stop
        self._show = show
        self._ending = ending
        self._waiting: list[list[Pupil]] = [[] for _ in rungs]
        self._pupils: list[Pupil] = []
        self._short_in_a_row = 0
        run.studies["candidate"].sampler = sampler(run.config.sampler, run.config.seed)

    def __bool__(self) -> bool:
        """Whether anybody waits to be taught."""
        return any(self._waiting)

    def turn(self, claim: Callable[[], Claim | None], *, more: bool) -> bool:
        """Take what a cohort lacks, and teach one; False if there was nothing to do.

        Args:
            claim: takes one more trial, if there is any.
            more: whether it is to be asked.

        Raises:
            StoppedError: `stop` asked to end; what is held can be handed back.
            EradioError: the study cannot go on.
        """
        rung, took = next_rung(self._counts(), self._size, more), False
        while rung is not None and more and not any(len(waiting) >= self._size for waiting in self._waiting):
            if self._stop():
                raise StoppedError
            claimed = claim()
            if claimed is None:
                rung = next_rung(self._counts(), self._size, more=False)
                break
            self._begin(claimed)
            took = True
            rung = next_rung(self._counts(), self._size, more)
        if rung is None or not self._waiting[rung]:
            return took
        self._teach(rung)
        return True

    def hand_back(self, why: str) -> None:
        """Give up all trials that are held, for others to go on with; also one that an error kept from its end."""
        for waiting in self._waiting:
            waiting.clear()
        for pupil in self._held():
            with suppress(EndedError):
                self._note_seconds(pupil)
            self._run.ledger.hand_back(pupil.claim, why)

    def close(self, why: str) -> None:
        """End candidates that wait for a longer rung, where the budget allows no more; baselines are taught."""
        for rung, waiting in enumerate(self._waiting):
            for pupil in [one for one in waiting if one.claim.kind == "candidate"]:
                waiting.remove(pupil)
                if pupil.reached:
                    self._tell(pupil, why)
                    CheckpointFolder(pupil.work).drop(self._rungs[rung])
                else:
                    self._run.ledger.hand_back(pupil.claim, why)

    def _held(self) -> list[Pupil]:
        held = self._run.ledger.holding.keys()
        return [pupil for pupil in self._pupils if pupil.claim.key in held]

    def _note_seconds(self, pupil: Pupil) -> None:
        """Write down what this attempt has cost so far, for the budget.

        Raises:
            EndedError: the trial is not ours any more.
        """
        self._run.ledger.holding.cost(pupil.claim.key, pupil.spent)
        self._run.ledger.note(pupil.claim, {SECONDS: round(pupil.spent, 3)})

    def _counts(self) -> list[int]:
        return [len(waiting) for waiting in self._waiting]

    def _begin(self, claim: Claim) -> None:
        """Measure a network; what is not to be taught ends here."""
        pupil = Pupil(claim, claim.folder)
        self._show(_called([pupil]), claim.folder, 0, self._rungs[-1])
        self._pupils = [*self._held(), pupil]
        try:
            pupil.earlier = self._run.ledger.earlier_seconds(claim)
            if claim.kind == "finalist":
                finalists.begin(self._run, pupil)
            else:
                with self._ending() as look:  # a build may take many minutes, and nobody is given as long to end
                    begin(self._run, pupil, look)
                self._run.ledger.measured(claim, pupil.measurements)
                self._note_seconds(pupil)
        except EndedError:
            self._run.ledger.holding.drop(claim.key)
        except StoppedError:
            raise
        except NoMemoryError as error:
            self._crowded(pupil, error, building=True)
            raise
        except Exception as error:
            if not networks_own(error):
                raise
            if isinstance(error, CrowdedError) or (isinstance(error, BuildError) and memory_was_short(error)):
                self._crowded(pupil, error, building=True)
                self._rest()
            else:
                self._fail(pupil, error, building=True)
        else:
            self._short_in_a_row = 0
            self._place(pupil)

    def _rest(self) -> None:
        """Where one network after the other finds no memory it is held by others, and each attempt would be lost."""
        self._short_in_a_row += 1
        if self._short_in_a_row > 1:
            self._show("waiting for memory", None, 0, 0)
            with self._ending():
                time.sleep(min(recovery.REST_SECONDS * 2 ** (self._short_in_a_row - 2), _MOST_REST_SECONDS))

    def _place(self, pupil: Pupil) -> None:
        """Let a pupil wait for its next rung, unless what it has reached already ends its trial."""
        if pupil.claim.kind == "candidate" and not self._feasible(pupil):
            return
        for reached in pupil.reached:
            if not (self._scored(pupil, reached) and self._goes_on(pupil, reached)):
                return
        rungs = self._rungs[-1:] if pupil.claim.kind == "baseline" else self._rungs
        self._waiting[self._rungs.index(pupil.next_rung(rungs))].append(pupil)

    def _feasible(self, pupil: Pupil) -> bool:
        """Whether a candidate keeps the constraints; one that does not ends with its loss before training."""
        limits = self._run.config.constraints.shortfalls(pupil.measurements[0], pupil.peak_bytes)
        broken = [name for name, value in limits.items() if value > 0]
        if not broken:
            return True
        try:
            for one, end in self._taught([pupil], 0):
                with suppress(EndedError):
                    self._note_seconds(one)
                if isinstance(end, Exception):
                    self._failed(one, end)
                else:
                    self._tell(one, f"it does not keep the constraint on {' and '.join(broken)}")
        except NoMemoryError as error:
            self._crowded(pupil, error, building=False)
            raise
        return False

    def _teach(self, rung: int) -> None:
        waiting, steps = self._waiting[rung], self._rungs[rung]
        alone = next((pupil for pupil in waiting if pupil.claim.alone), None)
        cohort = [alone] if alone is not None else waiting[: self._size]
        for pupil in cohort:
            if len(cohort) > 1:
                with suppress(EndedError):
                    self._run.ledger.note(pupil.claim, {COHORT: len(cohort)})
        stopped: StoppedError | None = None
        ended: list[tuple[Pupil, Reached]] = []
        try:
            for pupil, end in self._taught(cohort, steps):
                if isinstance(end, StoppedError):
                    stopped = end
                    continue
                if isinstance(end, Exception):
                    self._failed(pupil, end)
                    waiting.remove(pupil)
                elif self._scored(pupil, end):
                    ended.append((pupil, end))
                else:
                    waiting.remove(pupil)
        except NoMemoryError as error:
            for pupil in [one for one in cohort if one in waiting and one not in dict(ended)]:
                waiting.remove(pupil)
                self._crowded(pupil, error, building=False)
            raise
        for pupil, reached in ended:
            on = self._goes_on(pupil, reached)
            waiting.remove(pupil)
            if on:
                self._waiting[rung + 1].append(pupil)
        if stopped is not None:
            raise stopped

    def _taught(self, cohort: Sequence[Pupil], steps: int) -> Iterator[tuple[Pupil, Reached | Exception]]:
        def watch(pupil: Pupil, step: int) -> None:
            self._run.ledger.holding.progress(pupil.claim.key, step, steps)
            self._run.ledger.holding.cost(pupil.claim.key, pupil.spent)
            self._run.ledger.holding.check(pupil.claim.key)
            self._show(_called(cohort), pupil.claim.folder, step, steps, len(cohort))

        yield from teach(self._run, cohort, steps, self._stop, watch)

    def _scored(self, pupil: Pupil, reached: Reached) -> bool:
        """Write down what a rung gave and has cost; False if the trial is not ours any more."""
        steps = reached.score.steps
        try:
            self._note_seconds(pupil)
            if steps != self._rungs[-1]:
                self._run.ledger.score(pupil.claim, steps, reached.score.loss)
        except EndedError:
            self._run.ledger.holding.drop(pupil.claim.key)
            return False
        return True

    def _goes_on(self, pupil: Pupil, reached: Reached) -> bool:
        """Judge a pupil at the rung it has reached; one that is at its end is told."""
        steps = reached.score.steps
        if steps == self._rungs[-1]:
            if self._tell(pupil):
                CheckpointFolder(pupil.work).drop(steps)
            return False
        try:
            decision = self._run.ledger.reached(pupil.claim, steps)
        except EndedError:
            self._run.ledger.holding.drop(pupil.claim.key)
            return False
        pupil.decisions.append(decision)
        CheckpointFolder(pupil.work).drop(steps)
        why = f"place {decision.place + 1} of {decision.among} after {steps} steps"
        if not decision.goes_on and self._tell(pupil, why):
            CheckpointFolder(pupil.work).clear()
        return decision.goes_on

    def _tell(self, pupil: Pupil, why: str | None = None) -> bool:
        """End a trial with what it reached; False if it had ended, and its checkpoints may be another worker's."""
        last, told = pupil.reached[-1].score.steps, False
        end: End = "complete" if last == self._rungs[-1] else "halted" if last else "infeasible"
        record: TrialRecord | FinalistRecord
        try:
            if pupil.claim.kind == "finalist":
                record = finalists.record_of(self._run, pupil)
            else:
                record = record_of(self._run, pupil, end, why)
        except NoMemoryError as error:
            self._crowded(pupil, error, building=False)
            raise
        except Exception as error:
            self._failed(pupil, error)
            return False
        with suppress(EndedError):
            self._run.ledger.tell(pupil.claim, record)
            told = True
        self._run.ledger.holding.drop(pupil.claim.key)
        return told

    def _failed(self, pupil: Pupil, error: Exception) -> None:
        if isinstance(error, EndedError):
            self._run.ledger.holding.drop(pupil.claim.key)
        elif not networks_own(error):
            raise error
        else:
            self._fail(pupil, error, building=False)

    def _crowded(self, pupil: Pupil, error: Exception, *, building: bool) -> None:
        """End a trial that failed for want of memory, perhaps for what others hold: it is tried again so often."""
        with suppress(EndedError):
            self._run.ledger.note(pupil.claim, {CROWDED: True})
        self._fail(pupil, error, building=building)

    def _fail(self, pupil: Pupil, error: Exception, *, building: bool) -> None:
        """End a trial that failed by its network's own fault.

        Raises:
            PassingError: it has also spoiled the GPU for this process.
        """
        with suppress(EndedError):
            self._note_seconds(pupil)
            if pupil.claim.kind == "finalist":
                self._run.ledger.tell(pupil.claim, finalists.record_of(self._run, pupil, reason(error)))
            else:
                record = record_of(self._run, pupil, code_of(error, building), reason(error))
                self._run.ledger.tell(pupil.claim, record)
        self._run.ledger.holding.drop(pupil.claim.key)
        if (why := gpu_lost()) is not None:
            raise PassingError(f"After {pupil.claim.name} this process cannot use its GPU any more ({why}).")


def _called(cohort: Sequence[Pupil]) -> str:
    others = f" and {len(cohort) - 1} more" if len(cohort) > 1 else ""
    first = cohort[0].claim
    return f"{'finalist ' if first.kind == 'finalist' else ''}{first.name}{others}"
