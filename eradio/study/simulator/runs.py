"""Many replays, kept in a file, so that a long comparison goes on where it was interrupted."""

import inspect
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path

import optuna

from eradio import front
from eradio.description import Description, canonical_json, digest_of
from eradio.files import write_atomically
from eradio.study import cohorts, halving, samplers, view
from eradio.study.halving import judge
from eradio.study.simulator.replay import Judge, Replay, replay
from eradio.study.simulator.scenario import Scenario
from eradio.study.simulator.table import Table, whole_lines

Told = Callable[[str, int, int], None]
"""Is told a method's name, how many replays are done and how many there are."""


class Method(Description):
    """A way to search, of which each seed is one replay."""

    name: str
    scenario: Scenario
    judge: str = "real"
    """The name of another rule of who goes on, where one is studied."""


def replays(
    table: Table,
    methods: list[Method],
    seeds: range,
    kept: Path,
    *,
    judges: Mapping[str, Judge] | None = None,
    processes: int = 1,
    told: Told = lambda name, done, all_: None,
) -> dict[str, list[Replay]]:
    """All replays of some methods, by the method's name and in the order of the seeds.

    Args:
        table: the recorded curves.
        methods: each with a name of its own.
        seeds: of which each method takes all, so that methods can be compared seed by seed.
        kept: the file of those that are done already; new ones are added. A line is found again by the digest of the
            table, the scenario, the rule's name and the code that decides.
        judges: other rules, by name.
        processes: how many replay side by side.
        told: hears of every replay that is new.
    """
    rules: dict[str, Judge] = {"real": judge, **(judges or {})}
    origin = digest_of(table.model_dump(mode="json"))
    known = _read(kept)
    wanted = [(one, seed, _key(origin, one, seed, rules[one.judge])) for one in methods for seed in seeds]
    missing = {key: (one, seed) for one, seed, key in wanted if key not in known}
    with ProcessPoolExecutor(processes) as pool, kept.open("a", encoding="utf-8") as file:
        jobs = {
            pool.submit(replay, table, one.scenario.model_copy(update={"seed": seed}), rules[one.judge]): (
                key,
                one,
                seed,
            )
            for key, (one, seed) in missing.items()
        }
        for done, job in enumerate(as_completed(jobs), 1):
            key, one, seed = jobs[job]
            known[key] = job.result()
            row = {"key": key, "method": one.name, "seed": seed, "replay": known[key].model_dump(mode="json")}
            file.write(f"{canonical_json(row)}\n")
            file.flush()
            told(one.name, done, len(jobs))
    return {one.name: [known[key] for other, _, key in wanted if other is one] for one in methods}


def _key(origin: str, method: Method, seed: int, rule: Judge) -> str:
    plain = method.scenario.model_dump(mode="json") | {"seed": seed}
    return digest_of([origin, plain, method.judge, _code(inspect.getfile(rule))])


@cache
def _code(rule: str) -> str:
    """What decides how a search goes: replays of other code are other replays."""
    here = Path(__file__).parent
    files = [Path(rule), *(here / f"{name}.py" for name in ("desk", "replay", "scenario", "table"))]
    files += [Path(str(module.__file__)) for module in (cohorts, front, halving, samplers, view)]
    return digest_of([optuna.__version__, *(file.read_text(encoding="utf-8") for file in files)])


def _read(kept: Path) -> dict[str, Replay]:
    """What is kept; half a line, left by a process that was killed, is cut off, since lines are added after it."""
    lines = whole_lines(kept) if kept.exists() else []
    write_atomically(kept, lambda temporary: temporary.write_bytes(b"".join(lines)))
    rows = map(json.loads, lines)
    return {row["key"]: Replay.parse(row["replay"], str(kept)) for row in rows}
