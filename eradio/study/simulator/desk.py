"""The study's side of a replayed search: asks a real sampler for candidates and tells it how they ended."""

from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import Trial, TrialState

from eradio.study.samplers import sampler
from eradio.study.simulator.scenario import AS_IT_COMES, EACH, Scenario
from eradio.study.simulator.table import Member, Table
from eradio.study.trials import DUPLICATE


@dataclass(eq=False)
class Candidate:
    """A network in the search's hands."""

    trial: Trial
    member: Member
    measured: bool = False
    passed: int = 0
    """How many rungs it was taught to."""
    values: list[float] = field(default_factory=list)
    """As told to the study; empty while it is at work."""
    left: int = 0
    """How many rungs it had still before it when it was halted."""


def _sampler(scenario: Scenario) -> BaseSampler:
    if scenario.sampler == AS_IT_COMES:
        return TPESampler(seed=scenario.seed)
    return sampler("random" if scenario.sampler == EACH else scenario.sampler, scenario.seed, scenario.latest)


class Desk:
    """Asks and tells as `eradio.study.ledger` does: what is known already is neither taught again nor counted."""

    def __init__(self, table: Table, scenario: Scenario) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._table = table
        self._scenario = scenario
        self._known: dict[str, Candidate] = {}
        self._study = optuna.create_study(directions=["minimize", "maximize"], sampler=_sampler(scenario))
        self._order = self._by_chance() if scenario.sampler == EACH else []
        self.trials = 0

    def open(self) -> bool:
        """Whether another candidate may be asked for."""
        wanted = min(self._scenario.candidates, len(self._table.members))
        return len(self._known) < wanted and self.trials < self._scenario.attempts * self._scenario.candidates

    def ask(self) -> Candidate | None:
        """The next network that is not known yet; None if the sampler has no more to say."""
        while self.open():
            if self._order:
                self._study.enqueue_trial(self._order.pop().parameters)
            trial = self._study.ask()
            self.trials += 1
            member = self._table.members.get(self._table.space.suggest(trial).digest())
            if member is None or not member.rungs:
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            twin = self._known.get(member.network)
            if twin is None:
                self._known[member.network] = Candidate(trial, member)
                return self._known[member.network]
            trial.set_user_attr(DUPLICATE, twin.trial.number)
            if twin.values:
                self._tell(trial, twin.values, twin.left)
            else:
                self._study.tell(trial, state=TrialState.FAIL)
        return None

    def end(self, candidate: Candidate, steps: int, left: int) -> None:
        """Tell what a candidate came to: its loss after so many steps, and how many rungs it was halted before."""
        candidate.values = [candidate.member.rungs[steps].loss, candidate.member.throughput(self._scenario.engine)]
        candidate.left = left
        self._tell(candidate.trial, candidate.values, left)

    def _by_chance(self) -> list[Member]:
        members = list(self._table.members.values())
        return [members[place] for place in np.random.default_rng(self._scenario.seed).permutation(len(members))]

    def _tell(self, trial: Trial, values: list[float], left: int) -> None:
        # Of all trials, since a sampler of Gaussian processes wants each to have the same constraints.
        trial.set_constraint("halted", left)
        self._study.tell(trial, values)
