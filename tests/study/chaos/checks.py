"""What must be true of a study after all that befell its workers: functions of what it left, each giving sentences.

An empty list means that it is true.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TypeAlias

from optuna.trial import FrozenTrial, TrialState

from eradio.files import read_json
from eradio.front import front
from eradio.study.ledger import RECORD
from eradio.study.records import TrialRecord
from eradio.study.trials import (
    DIGEST,
    END,
    REASON,
    UNDER_WAY,
    attempt,
    is_duplicate,
    is_surplus,
    lease,
    origin,
    successors,
    throughputs,
    to_be_retried,
)
from tests.study.chaos.written_files import Written

Result: TypeAlias = tuple[float, str]
"""What a candidate came to: its loss, and how it ended."""


def under_way(trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """No trial runs, waits, or is still to be tried again."""
    for trial in trials:
        if trial.state in UNDER_WAY:
            yield f"trial {trial.number} is still {trial.state.name}, held by {lease(trial)}"
    for trial in to_be_retried(trials):
        yield f"trial {trial.number} failed, and nobody put its next attempt in line"


def chains(trials: Sequence[FrozenTrial], listed: int) -> Iterator[str]:
    """Every candidate of the list has one end, its last attempt's; none was completed twice; nothing else was begun."""
    for number, chain in chains_of(trials).items():
        if [attempt(trial) for trial in chain] != list(range(1, len(chain) + 1)):
            yield f"candidate {number} has the attempts {[attempt(trial) for trial in chain]}"
        for trial in chain[:-1]:
            if trial.state != TrialState.FAIL:
                yield f"candidate {number}: attempt {attempt(trial)} is {trial.state.name}, and yet there is another"
        if number >= listed and not is_surplus(chain[-1]):
            yield f"candidate {number} is beyond the {listed} of the list, and ended as {end_of(chain[-1])}"
    for number in {*range(listed)} - chains_of(trials).keys():
        yield f"candidate {number} is missing"
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and not is_duplicate(trial)]
    for what, count in Counter(origin(trial) for trial in complete).items():
        if count > 1:
            yield f"candidate {what} is complete {count} times"
    for digest, count in Counter(trial.user_attrs.get(DIGEST, "") for trial in complete).items():
        if count > 1:
            yield f"the network {digest} is complete {count} times"


def put_in_line_twice(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Attempts that two workers put in line, and that were rightly not made a second time."""
    first = successors(trials)
    return [trial for trial in trials if attempt(trial) > 1 and first[origin(trial), attempt(trial)] is not trial]


def twice_in_line(trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """An attempt that two workers put in line was made once."""
    for trial in put_in_line_twice(trials):
        if trial.state != TrialState.FAIL or not is_duplicate(trial):
            yield f"trial {trial.number}, attempt {attempt(trial)} of {origin(trial)} once more, is {trial.state.name}"


def told(trials: Sequence[FrozenTrial], run: Path) -> Iterator[str]:
    """A completed trial's values are those of its record, whose scores are those of the rungs' files."""
    for trial in trials:
        if trial.state != TrialState.COMPLETE or is_duplicate(trial):
            continue
        folder = run / "candidates" / f"{origin(trial):04d}"
        record = TrialRecord.parse(read_json(folder / RECORD), str(folder / RECORD))
        assert record.score is not None
        if trial.values != [record.score.loss, *(one.throughput.value for one in record.measurements)]:
            yield f"trial {trial.number} was told {trial.values}, and its record says {record.score}"
        for score in record.rungs:
            if read_json(folder / f"rung-{score.steps}.json")["score"] != score.model_dump(mode="json"):
                yield f"trial {trial.number}: the file of rung {score.steps} says another score than the record"


def taught_again(trials: Sequence[FrozenTrial], written: Iterable[Written]) -> tuple[list[str], int]:
    """Rungs that were reached, and taught once more by somebody who took the trial only then.

    Returns:
        sentences, and how many rungs were written once more by a worker that had begun before, and was paused.
    """
    began: dict[tuple[int, int], list[float]] = defaultdict(list)
    for trial in trials:
        if (own := lease(trial)) is not None and trial.datetime_start is not None:
            began[origin(trial), own.owner.pid].append(trial.datetime_start.timestamp())
    first: dict[tuple[int, str], Written] = {}
    wrong, late = [], 0
    for one in sorted(written, key=lambda one: one.when):
        if not (one.name.startswith("rung-") and one.name.endswith(".json")):
            continue
        number = int(one.folder)
        before = first.setdefault((number, one.name), one)
        if before is one:
            continue
        starts = [start for start in began[number, one.pid] if start < one.when]
        if starts and max(starts) < before.when and one.pid != before.pid:
            late += 1
        else:
            wrong.append(
                f"{one.name} of candidate {number} was written by {before.pid}, and {one.when - before.when:.1f} s "
                f"later again by {one.pid}, who took the trial after that"
            )
    return wrong, late


def same_results(trials: Sequence[FrozenTrial], undisturbed: Sequence[FrozenTrial]) -> Iterator[str]:
    """Every network came to the same loss, bit for bit, as where nothing was disturbed, and ended alike."""
    found, expected = results(trials), results(undisturbed)
    for network in sorted(expected.keys() | found.keys()):
        if found.get(network) != expected.get(network):
            own = [trial for trial in trials if trial.user_attrs.get(DIGEST) == network]
            why = "; ".join(f"{trial.number}: {trial.user_attrs.get(REASON, end_of(trial))}" for trial in own)
            yield f"{network} came to {found.get(network)}, undisturbed to {expected.get(network)} ({why})"


def same_front(trials: Sequence[FrozenTrial], undisturbed: Sequence[FrozenTrial]) -> Iterator[str]:
    """The front of those that were taught to the end is the undisturbed one, throughputs being taken from there."""
    complete = [trial for trial in undisturbed if trial.state == TrialState.COMPLETE and not is_duplicate(trial)]
    speeds = {trial.user_attrs[DIGEST]: trial.values[1] for trial in complete}
    found, expected = front_of(trials, speeds), front_of(undisturbed, speeds)
    if found != expected:
        yield f"the front is {found}, undisturbed {expected}"


def front_of(trials: Sequence[FrozenTrial], speeds: Mapping[str, float]) -> dict[str, float]:
    """Losses of the front by network."""
    taught = [one for one in trials if end_of(one) == "complete" and not is_duplicate(one)]
    complete = [one for one in taught if one.user_attrs[DIGEST] in speeds]
    points = [(-speeds[one.user_attrs[DIGEST]], one.values[0]) for one in complete]
    return {complete[index].user_attrs[DIGEST]: complete[index].values[0] for index in front(points)}


def same_throughputs(
    trials: Sequence[FrozenTrial], undisturbed: Sequence[FrozenTrial], kept: set[str]
) -> Iterator[str]:
    """What this machine remembered of a network was not measured again."""
    expected = {trial.user_attrs.get(DIGEST): throughputs(trial) for trial in undisturbed if not is_duplicate(trial)}
    for trial in trials:
        network = trial.user_attrs.get(DIGEST)
        known = expected.get(network)
        if trial.state == TrialState.COMPLETE and network in kept and throughputs(trial) not in (None, known):
            yield f"trial {trial.number} has {throughputs(trial)} images/s, undisturbed {known}"


def results(trials: Sequence[FrozenTrial]) -> dict[str, Result]:
    """What each network came to; which of two that have the same one is the duplicate depends on who came first."""
    found = {}
    for chain in chains_of(trials).values():
        if not any(is_duplicate(trial) or is_surplus(trial) for trial in chain):
            last = chain[-1]
            found[last.user_attrs.get(DIGEST, f"of trial {last.number}")] = ((last.values or [inf])[0], end_of(last))
    return found


def chains_of(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The attempts at each candidate, without those that were put in line a second time."""
    again = {trial.number for trial in put_in_line_twice(trials)}
    found: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if trial.number not in again:
            found.setdefault(origin(trial), []).append(trial)
    return {number: sorted(chain, key=attempt) for number, chain in found.items()}


def end_of(trial: FrozenTrial) -> str:
    """How it ended, as its trial says."""
    return str(trial.user_attrs.get(END, trial.state.name))
