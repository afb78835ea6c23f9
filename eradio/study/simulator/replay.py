"""Replays a search over a recorded table, event by event: the same scenario gives the same search to the last bit."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from eradio.description import Description
from eradio.front import hypervolume
from eradio.study.cohorts import next_rung
from eradio.study.halving import Decision, judge
from eradio.study.simulator.desk import Candidate, Desk
from eradio.study.simulator.scenario import Scenario
from eradio.study.simulator.table import Table

Judge = Callable[[ArrayLike, int, int, int], Decision]
"""Decides on a candidate at a rung, as `eradio.study.halving.judge` does."""


class Replay(Description):
    """What a search came to, and how."""

    compute: tuple[float, ...]
    """Seconds that students and teachers had taken, each time a candidate had been taught to the end."""
    clock: tuple[float, ...]
    """Seconds since the search began, at the same times."""
    hypervolume: tuple[float, ...]
    """Of the true final losses of the candidates taught to the end by then, in parts of the whole table's."""
    finished: tuple[str, ...]
    """Digests of those, in that order."""
    decided: tuple[tuple[int, int], ...]
    """At each rung: how many were taught to it, and how many went on."""
    spent: float
    seconds: float
    trials: int
    """With duplicates, and draws that the table lacks."""
    deaths: int
    recorded: int
    size: int

    def caution(self) -> str | None:
        """What must stand beside the figures if the table is not whole."""
        if self.recorded == self.size:
            return None
        return f"partial table: {self.recorded} of {self.size}; figures are not claims"


@dataclass(eq=False)
class _Job:
    """What a worker is at."""

    members: list[Candidate]
    start: float
    length: float
    compute: float
    dies: bool

    def spent(self, now: float) -> float:
        """The part of the compute that is done by now."""
        return self.compute * min(1.0, (now - self.start) / self.length) if self.length else self.compute


@dataclass(eq=False)
class _Worker:
    held: list[Candidate] = field(default_factory=list)
    job: _Job | None = None
    away: bool = False


def replay(table: Table, scenario: Scenario, judged: Judge = judge) -> Replay:
    """Run one search.

    Args:
        table: the recorded curves.
        scenario: what is replayed.
        judged: decides who goes on; the real rule, unless another one is studied.

    Raises:
        EradioError: the table lacks what the scenario asks for, or there is no such sampler.
    """
    return _Search(table, scenario.checked(table), judged).run()


class _Search:
    def __init__(self, table: Table, scenario: Scenario, judged: Judge) -> None:
        self._table, self._scenario, self._judged = table, scenario, judged
        self._stops = scenario.stops(table)
        self._desk = Desk(table, scenario)
        self._reference, self._whole = table.reference(scenario.engine), table.hypervolume(scenario.engine)
        self._workers = [_Worker() for _ in range(scenario.workers)]
        self._events: list[tuple[float, int, _Worker | None]] = []
        self._count = 0
        self._lost: list[tuple[float, Candidate]] = []
        self._reached: list[list[tuple[float, float]]] = [[] for _ in self._stops]
        self._passed = [0] * len(self._stops)
        self._chance = np.random.default_rng([scenario.seed, 1])
        self._spent, self._deaths = 0.0, 0
        self._track: list[tuple[float, float, float, str]] = []

    def run(self) -> Replay:
        now = 0.0
        self._set_idle_to_work(now)
        while self._events:
            now, _, worker = heapq.heappop(self._events)
            if worker is not None:
                self._end_job(worker, now)
            self._set_idle_to_work(now)
        compute, clock, area, finished = zip(*self._track, strict=True) if self._track else ((), (), (), ())
        return Replay(
            compute=compute,
            clock=clock,
            hypervolume=area,
            finished=finished,
            decided=tuple((len(all_), on) for all_, on in zip(self._reached, self._passed, strict=True)),
            spent=self._spent,
            seconds=now,
            trials=self._desk.trials,
            deaths=self._deaths,
            recorded=len(self._table.members),
            size=self._table.size,
        )

    def _set_idle_to_work(self, now: float) -> None:
        for worker in self._workers:
            if worker.job is None and not worker.away:
                self._begin_job(worker, now)

    def _begin_job(self, worker: _Worker, now: float) -> None:
        """Measure what is not measured yet, teach a cohort, or claim another candidate and decide again."""
        while True:
            new = next((one for one in worker.held if not one.measured), None)
            if new is not None:
                return self._work(worker, [new], now, self._scenario.measuring_seconds, 0.0)
            waiting = [sum(one.passed == rung for one in worker.held) for rung in range(len(self._stops))]
            more = self._due(now) or (self._within_budget() and self._desk.open())
            rung = next_rung(waiting, self._scenario.cohort, more)
            if rung is None:
                return None
            if rung == 0 and more and waiting[0] < self._scenario.cohort:
                claimed = self._claim(now)
                if claimed is not None:
                    worker.held.append(claimed)
                continue
            members = [one for one in worker.held if one.passed == rung][: self._scenario.cohort]
            seconds = self._teaching_seconds(members, rung)
            return self._work(worker, members, now, seconds, seconds)

    def _claim(self, now: float) -> Candidate | None:
        """What a dead worker left behind, else a new candidate."""
        if self._due(now):
            return self._lost.pop(0)[1]
        return self._desk.ask()

    def _due(self, now: float) -> bool:
        return bool(self._lost) and self._lost[0][0] <= now

    def _within_budget(self) -> bool:
        return self._scenario.compute is None or self._spent < self._scenario.compute

    def _teaching_seconds(self, members: list[Candidate], rung: int) -> float:
        """Of all students from the last rung to this one, and of the teachers once."""
        start = self._stops[rung - 1] if rung else 0
        own = sum(
            one.member.rungs[steps].seconds
            for one in members
            for steps in self._table.rungs
            if start < steps <= self._stops[rung]
        )
        given = self._scenario.teacher_seconds
        each = self._table.header.teacher_seconds if given is None else given
        return own + each * (self._stops[rung] - start)

    def _work(self, worker: _Worker, members: list[Candidate], now: float, length: float, compute: float) -> None:
        rate = self._scenario.deaths_per_hour / 3600
        # Deaths at a constant rate have no memory, so one can be drawn anew for each job.
        death = float(self._chance.exponential(1 / rate)) if rate else float("inf")
        worker.job = _Job(members, now, length, compute, dies=death < length)
        self._at(now + min(death, length), worker)

    def _at(self, time: float, worker: _Worker | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, worker))

    def _end_job(self, worker: _Worker, now: float) -> None:
        job, worker.job = worker.job, None
        if job is None:
            worker.away = False
            return
        self._spent += job.spent(now)
        if job.dies:
            self._die(worker, now + self._scenario.lease_seconds)
        elif not job.members[0].measured:
            job.members[0].measured = True
        else:
            self._judge(worker, job.members, now)

    def _die(self, worker: _Worker, due: float) -> None:
        self._deaths += 1
        self._lost += [(due, one) for one in worker.held]
        worker.held, worker.away = [], True
        self._at(due, worker)

    def _judge(self, worker: _Worker, members: list[Candidate], now: float) -> None:
        """Let those go on that do well among all who have reached the rung, this cohort included; end the others."""
        rung = members[0].passed
        steps, last = self._stops[rung], rung == len(self._stops) - 1
        reached = self._reached[rung]
        places = range(len(reached), len(reached) + len(members))
        engine = self._scenario.engine
        reached += [(one.member.rungs[steps].loss, -one.member.throughput(engine)) for one in members]
        for one, place in zip(members, places, strict=True):
            one.passed += 1
            if not last and self._goes_on(reached, place, steps):
                self._passed[rung] += 1
                continue
            worker.held.remove(one)
            self._desk.end(one, steps, len(self._stops) - 1 - rung)
            if last:
                self._note(one, now)

    def _goes_on(self, reached: list[tuple[float, float]], place: int, steps: int) -> bool:
        halving = self._scenario.halving
        return halving is not None and self._judged(reached, place, steps, halving.reduction).goes_on

    def _note(self, one: Candidate, now: float) -> None:
        under_way = sum(worker.job.spent(now) for worker in self._workers if worker.job is not None)
        part = hypervolume(self._reached[-1], self._reference) / self._whole
        self._track.append((self._spent + under_way, now, part, one.member.network))
