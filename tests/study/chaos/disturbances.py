"""What may befall the workers of a study and their database, done on purpose and by chance, and written down."""

import os
import random
import re
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eradio.study.ends import MOST_LOST
from eradio.study.trials import END, UNDER_WAY, is_duplicate, lease, origin
from tests.study.chaos.cluster import Alive, Cluster

_ROOM_BYTES = 1500
"""Less than a checkpoint or a record takes; the signs of life go to the database."""


@dataclass
class Disturber:
    """Does one thing after another to a cluster.

    What kills its worker three times is given up, which is a rule of the study and not what is tried here: a worker
    that has a candidate of two losses is spared, and nothing happens to all while such a one has no worker.

    Attributes:
        lease: seconds after which a paused worker's trial is taken over.
        log: where everything is written down, with its time.
        done: how often each thing was done.
        spared: how often nothing was done for the reason above.
        no_room: names of the workers whose files, their logs too, may not grow any more.
        told: processes that were asked to end. They are not paused, since only so long is waited for them.
    """

    cluster: Cluster
    study: Study
    lease: float
    random: random.Random
    log: Path
    done: Counter[str] = field(default_factory=Counter)
    spared: int = 0
    paused: list[tuple[float, Alive]] = field(default_factory=list)
    no_room: set[str] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    def once(self) -> bool:
        """Do one thing: each once, in the order in which they stand here, then by chance; whether one could be done."""
        by_chance = self.random.choices([way for _, way in self._ways()], [weight for weight, _ in self._ways()])
        for way in (*self.lacking(), *by_chance):
            if (said := way()) is not None:
                self.done[_name(way)] += 1
                self.write(f"{_name(way)}: {said}")
                return True
        return False

    def lacking(self) -> list[Callable[[], str | None]]:
        """What has not been done yet."""
        return [way for _, way in self._ways() if _name(way) not in self.done]

    def _ways(self) -> list[tuple[int, Callable[[], str | None]]]:
        return [
            *([(2, self._requeue)] if self.cluster.slurm is not None else []),
            (5, self._kill_worker),
            (3, self._pause),
            (2, self._restart_database),
            (2, self._take_room),
            (2, self._kill_supervisor),
            (1, self._crash_database),
            (2, self._terminate),
            (1, self._preempt),
        ]

    def wake(self, everybody: bool = False) -> None:
        """Let those go on that were paused for long enough."""
        now = time.monotonic()
        for until, worker in [*self.paused]:
            if everybody or now >= until:
                self.paused.remove((until, worker))
                _send(worker.pid, signal.SIGCONT)
                self.write(f"goes on: {worker.pid}")

    def write(self, line: str) -> None:
        """Write a line down."""
        with self.log.open("a", encoding="utf-8") as output:
            output.write(f"{time.time():.3f} {time.monotonic() - self.began:7.2f} {line}\n")

    def _kill_worker(self) -> str | None:
        worker = self._held_still()
        if worker is not None:
            _send(worker.pid, signal.SIGKILL)
        return None if worker is None else str(worker.pid)

    def _kill_supervisor(self) -> str | None:
        worker = self._held_still()
        if worker is not None:
            _send(worker.supervisor, signal.SIGKILL)
        return None if worker is None else f"{worker.supervisor} of {worker.pid}"

    def _pause(self) -> str | None:
        worker = self._held_still(self.told) if len(self.paused) < 2 else None
        if worker is None:
            return None
        seconds = self.lease * self.random.uniform(0.5, 2.5)
        self.paused.append((time.monotonic() + seconds, worker))
        return f"{worker.pid} for {seconds:.1f} s"

    def _restart_database(self) -> str | None:
        return self._without_database(self.cluster.server.stop)

    def _crash_database(self) -> str | None:
        return self._without_database(self.cluster.server.drop)

    def _without_database(self, stop: Callable[[], None]) -> str | None:
        if self._in_danger() is None:
            self.spared += 1
            return None
        seconds = self.random.choice([0.0, 1.0, 3.0])
        stop()
        time.sleep(seconds)
        self.cluster.server.start()
        return f"down for {seconds:.0f} s"

    def _take_room(self) -> str | None:
        worker = self._any()
        if worker is None:
            return None
        with suppress(ProcessLookupError):
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (_ROOM_BYTES, resource.RLIM_INFINITY))
            self.no_room.add(worker.name)
        return f"{worker.pid} may write no file of more than {_ROOM_BYTES} bytes"

    def _terminate(self) -> str | None:
        worker = self._any()
        if worker is not None:
            self.told.add(worker.pid)
            _send(worker.pid, signal.SIGTERM)
        return None if worker is None else str(worker.pid)

    def _preempt(self) -> str | None:
        worker = self._any()
        if worker is not None:
            self.told.add(worker.pid)
            _send(worker.supervisor, signal.SIGUSR2)
        return None if worker is None else f"{worker.supervisor} of {worker.pid}"

    def _requeue(self) -> str | None:
        assert self.cluster.slurm is not None
        tasks = self.cluster.slurm.said("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i").split()
        if not tasks or self._in_danger() is None:
            return None
        task = self.random.choice(tasks)
        self.cluster.slurm.said("scontrol", "requeue", task)
        again = re.search(r"\bRestarts=[1-9]", self.cluster.slurm.said("scontrol", "show", "job", task))
        return None if again is None else task

    def _any(self, but: Collection[int] = ()) -> Alive | None:
        resting = {worker.pid for _, worker in self.paused}.union(but)
        found = [worker for worker in self.cluster.alive() if worker.pid not in resting]
        return self.random.choice(found) if found else None

    def _held_still(self, but: Collection[int] = ()) -> Alive | None:
        """A worker, stopped, that may be harmed."""
        worker = self._any(but)
        if worker is None:
            return None
        _send(worker.pid, signal.SIGSTOP)
        danger = self._in_danger()
        if danger is None or worker.pid in danger:
            self.spared += 1
            _send(worker.pid, signal.SIGCONT)
            return None
        return worker

    def _in_danger(self) -> set[int] | None:
        """The processes of workers that must not be harmed; None if nobody may be, since one may take such a trial."""
        trials = self.study.get_trials(deepcopy=False)
        lost = losses(trials)
        found = set()
        for trial in trials:
            if trial.state in UNDER_WAY and lost[origin(trial)] >= MOST_LOST - 1:
                own = lease(trial)
                if trial.state == TrialState.WAITING or own is None:
                    return None
                found.add(own.owner.pid)
        return found


def _name(way: Callable[[], str | None]) -> str:
    return way.__name__.strip("_").replace("_", " ")


def losses(trials: Sequence[FrozenTrial]) -> Counter[int]:
    """How many attempts at each candidate were lost."""
    return Counter(
        origin(trial)
        for trial in trials
        if trial.state == TrialState.FAIL
        and not is_duplicate(trial)
        and trial.user_attrs.get(END) not in ("pre-empted", "out-of-memory")
    )


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
