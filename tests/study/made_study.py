"""The trials of a long study, made up: what stands in its storage and its folder when workers have searched for weeks.

Each trial has the attributes, values and constraints that the ledger writes, and a record of its own; losses and
throughputs are drawn. Most candidates are halted, some are complete, a few diverged, were lost and tried again, or have
another one's network, and the last ones are still running.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from eradio.front import Floats
from eradio.manifest import environment
from eradio.search_space import Architecture, SearchSpace, describe
from eradio.study.config import StudyConfig
from eradio.study.halving import Decision, standings
from eradio.study.lease import Lease, Owner
from eradio.study.ledger import RECORD
from eradio.study.records import TrialRecord
from eradio.study.run import Run
from eradio.study.telling import HALTED, attributes_of, values_of
from eradio.study.trials import (
    ATTEMPT,
    DIGEST,
    DUPLICATE,
    END,
    LEASE,
    ORIGIN,
    REASON,
    THROUGHPUT,
    decision_key,
    loss_key,
)
from tests.analysis import made_up

_SECONDS = 90.0
"""Between the beginnings of two trials."""

_RARE = {"lost": 0.01, "diverged": 0.02, "duplicate": 0.03}
"""How many of all end so: bounds of what is drawn between 0 and 1."""


class Draw:
    """What a space asks of a trial, answered by chance."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        self.distributions[name] = CategoricalDistribution(tuple(choices))
        self.params[name] = choices[int(self._random.integers(len(choices)))]
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """One of low, low + step, ..., high."""
        self.distributions[name] = IntDistribution(low, high, step=step)
        self.params[name] = int(low + step * self._random.integers((high - low) // step + 1))
        return int(self.params[name])


def drawn(space: SearchSpace, random: np.random.Generator) -> tuple[Draw, Architecture]:
    """A member of a space, and its parameters."""
    draw = Draw(random)
    return draw, space.suggest(draw)


@dataclass(frozen=True)
class Fates:
    """What becomes of candidates.

    Attributes:
        rates: [n] images per second.
        losses: [r, n] at each rung.
        last: [n] the rung that each reaches.
        places: [r - 1, n] at each rung that judges, among all that reach it.
        among: [r - 1] how many do.
    """

    rates: Floats
    losses: Floats
    last: Sequence[int]
    places: Sequence[Sequence[int]]
    among: Sequence[int]


def fates(count: int, config: StudyConfig, random: np.random.Generator) -> Fates:
    """Of candidates that are all judged at once."""
    assert config.halving is not None
    rates = np.exp(random.uniform(np.log(200), np.log(4000), count))
    floor = 0.28 + 0.055 * np.log2(rates / 200) + np.abs(random.normal(0, 0.06, count))
    above = np.linspace(1.8, 1.0, len(config.rungs))[:, None]
    losses = floor * above + random.normal(0, 0.01, (len(config.rungs), count))
    last, places = np.zeros(count, dtype=int), np.zeros((len(config.halving.rungs), count), dtype=int)
    reached, among = np.arange(count), []
    for rung, _ in enumerate(config.halving.rungs):
        places[rung, reached] = standings(np.stack([losses[rung, reached], -rates[reached]], 1))
        among.append(len(reached))
        reached = reached[places[rung, reached] < len(reached) // config.halving.reduction]
        last[reached] = rung + 1
    return Fates(rates, losses, last.tolist(), places.tolist(), among)


def made(run: Run, count: int, running: int, seed: int = 0) -> Iterator[tuple[FrozenTrial, TrialRecord | None]]:
    """Trials by number, each with its record if it left one.

    Args:
        run: of a study with halving.
        count: of trials.
        running: how many of the last ones are under way.
        seed: of all that is drawn.
    """
    random = np.random.default_rng(seed)
    found, chance = fates(count, run.config, random), random.uniform(size=count)
    begun = datetime.now() - timedelta(seconds=_SECONDS * count)
    owners = [Owner.this().model_copy(update={"host": f"node{one:02d}", "boot": f"{one}"}) for one in range(64)]
    before: tuple[Draw, Architecture] | None = None
    for number in range(count):
        draw, network = before or drawn(run.space, random)
        under_way = number >= count - running
        rare = next((end for end, bound in _RARE.items() if chance[number] < bound), None)
        # One that is tried again stands right after the one that was lost.
        end = None if under_way or number == 0 or (rare == "lost" and before is not None) else rare
        origin = number if before is None else number - 1
        record = _record(run, origin, end == "diverged", found, number)
        record = record.model_copy(
            update={
                "network": network.model_dump(mode="json"),
                "network_digest": network.digest(),
                "words": describe(network),
            }
        )
        lease = Lease(owner=owners[number % 64], attempt=number - origin + 1, beat=9, step=run.config.rungs[-1])
        attributes = _told(run.config, record)
        system: dict[str, Any] = {"tpe:relative_params:0": json.dumps(draw.params)}
        attributes[LEASE] = lease.model_dump(mode="json")
        state = TrialState.FAIL if end in ("lost", "diverged") else TrialState.COMPLETE
        if origin != number:
            attributes |= {ORIGIN: origin, ATTEMPT: 2}
            system["fixed_params"] = draw.params
        if end == "lost":
            attributes |= {END: "lost", REASON: "its worker gave no sign of life"}
        if end == "duplicate":
            attributes |= {END: "duplicate", DUPLICATE: 0}
        if under_way:
            state, kept = TrialState.RUNNING, (LEASE, DIGEST, THROUGHPUT, ORIGIN, ATTEMPT)
            attributes = {key: value for key, value in attributes.items() if key in kept}
        values = values_of(record) if state == TrialState.COMPLETE else None
        if values is not None:
            system |= _constraints(attributes[f"constraint_{HALTED}"])
        trial = create_trial(
            state=state,
            values=values,
            params=draw.params,
            distributions=draw.distributions,
            user_attrs=attributes,
            system_attrs=system,
        )
        trial.number = number
        trial.datetime_start = begun + timedelta(seconds=_SECONDS * number)
        trial.datetime_complete = None if under_way else trial.datetime_start + timedelta(seconds=1200)
        yield trial, None if under_way or end in ("lost", "duplicate") else record
        before = (draw, network) if end == "lost" else None


def _record(run: Run, origin: int, diverged: bool, found: Fates, number: int) -> TrialRecord:
    """Without its network."""
    last, rungs = found.last[number], run.config.rungs
    complete = last == len(rungs) - 1
    scores = [made_up.scored(float(found.losses[rung, number]), rungs[rung]) for rung in range(last + 1)]
    decisions = [
        Decision(steps=rungs[rung], goes_on=rung < last, place=found.places[rung][number], among=among)
        for rung, among in enumerate(found.among[: last + 1])
    ]
    settings = {"environment": environment(), "recipe": run.config.recipe.model_dump(mode="json"), "unreadable": []}
    failed: TrialRecord = made_up.failed(origin).model_copy(update={"manifest": settings})
    taught: TrialRecord = made_up.trial(
        origin,
        float(found.rates[number]),
        state="complete" if complete else "halted",
        end="complete" if complete else "halted",
        reason=None if complete else f"place {decisions[-1].place + 1} of {decisions[-1].among}",
        score=scores[-1],
        rungs=tuple(scores),
        decisions=tuple(decisions),
        curve=made_up.learned(scores[-1].loss, scores[-1].steps, seed=number)[: max(8, 60 // 3 ** (2 - last))],
        manifest=settings,
    )
    return failed if diverged else taught


def _told(config: StudyConfig, record: TrialRecord) -> dict[str, Any]:
    """Attributes of a trial that reached this record."""
    left = 0.0 if record.score is None else float(sum(rung > record.score.steps for rung in config.rungs))
    return {
        **{loss_key(one.steps): one.loss for one in record.rungs if one.steps < config.rungs[-1]},
        **{decision_key(one.steps): one.model_dump(mode="json") for one in record.decisions},
        **({} if record.score is None else {f"constraint_{HALTED}": left}),
        **attributes_of(record),
    }


def _constraints(left: float) -> dict[str, Any]:
    """What Optuna keeps of a constraint, and of the file that a dashboard shows."""
    name = secrets.token_hex(16)
    kept = {"artifact_id": name, "filename": RECORD, "mimetype": "application/json", "encoding": None}
    return {"constraints": [left], f"constraints:{HALTED}": left, f"artifacts:{name}": json.dumps(kept)}
