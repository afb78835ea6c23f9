"""What is replayed: a sampler, who is halted when, how many workers with what clocks, and how often they die."""

from typing import Self

from pydantic import Field

from eradio.description import Description
from eradio.errors import EradioError
from eradio.study.halving import Halving
from eradio.study.simulator.table import Table

EACH, AS_IT_COMES = "each", "optuna's"


class Scenario(Description):
    """One search over a recorded table."""

    engine: str = "openvino"
    sampler: str = "tpe"
    """As in `eradio.study.samplers`; or `each`, chance that puts nothing back, for a table that is not whole; or
    `optuna's`, its TPE as it comes: each parameter alone, of all trials."""
    latest: int | None = Field(default=None, ge=1)
    """Of how many trials the sampler learns beside the front; as `eradio.study.samplers.LATEST` has it if not given."""
    seed: int = Field(default=0, ge=0)
    candidates: int = Field(ge=1)
    """Distinct networks that are taught, be it only to the first rung."""
    compute: float | None = Field(default=None, gt=0)
    """Seconds of training after which no new candidate is taken; those at hand are finished."""
    attempts: int = Field(default=50, ge=1)
    """Trials for each candidate, most of them duplicates, after which the sampler is taken to have no more to say."""
    halving: Halving | None = None
    cohort: int = Field(default=1, ge=1)
    """How many are taught together, who share what the teachers take."""
    workers: int = Field(default=1, ge=1)
    measuring_seconds: float = Field(default=3.0, ge=0)
    teacher_seconds: float | None = Field(default=None, ge=0)
    """Of one step of the teachers; as recorded if not given, 0 for cached targets."""
    deaths_per_hour: float = Field(default=0.0, ge=0)
    """How often a worker that is busy dies."""
    lease_seconds: float = Field(default=600.0, ge=0)
    """After which others take a dead worker's candidates, and another worker its place."""
    allow_partial: bool = False
    """Whether the table may lack members; a draw that it lacks is then infeasible, at no cost."""

    def stops(self, table: Table) -> tuple[int, ...]:
        """Steps at which a candidate is judged, and at last those at which it is done."""
        early = self.halving.rungs if self.halving is not None else ()
        return (*early, table.rungs[-1])

    def checked(self, table: Table) -> Self:
        """Itself, if the table can answer it.

        Raises:
            EradioError: the table lacks the engine, a rung or, unless that is allowed, a member.
        """
        if self.engine not in table.engines:
            raise EradioError(f"The table has no engine '{self.engine}'; use {' or '.join(table.engines)}.")
        for steps in self.stops(table)[:-1]:
            if steps not in table.rungs[:-1]:
                known = ", ".join(map(str, table.rungs[:-1]))
                raise EradioError(f"The table has no rung of {steps} steps before the last; use some of {known}.")
        if len(table.members) < table.size and not self.allow_partial:
            raise EradioError(
                f"The table holds {len(table.members)} of the {table.size} members of '{table.header.space}', and a "
                "sampler may draw any; record the others, or give allow_partial for a trial that claims nothing."
            )
        return self
