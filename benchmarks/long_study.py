"""What a study of many trials costs: a draw, a claim, a decision, `eradio status` and `eradio report`.

A study is made at once (tests/study/made_study.py) in a private PostgreSQL or an SQLite file. Then each step is timed
in a process of its own, whose highest memory is noted. Named alternative for the draw: the same sampler of Optuna over
all trials instead of the front and the latest ones.

Run: PYTHONPATH=. python benchmarks/long_study.py [--trials 20000] [--storage postgresql] [--folder FOLDER]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from optuna.trial import Trial
from rich.console import Console
from rich.table import Table

from eradio.study.config import StudyConfig
from eradio.study.recovery import fail
from eradio.study.run import Run, open_run
from eradio.study.samplers import sampler
from tests.analysis import made_up
from tests.services import PASSWORD, private_postgres
from tests.study.bulk import write
from tests.study.made_study import made

_DRAWN, _IN_LINE = "claim, drawn", "claim, in line"

_AIMS = {"draw": 0.2, _DRAWN: 1.0, _IN_LINE: 1.0, "reached": 1.0, "status": 15.0, "report": 15.0}
"""Seconds at the median."""

_MOST_MEMORY = 2.0
"""Gigabytes of one process."""

_RUNNING = 16


Took = tuple[float, float]
"""Seconds by the clock, and by the processor."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and by the processor, of each step several times, and the process's highest memory in GB."""

    seconds: dict[str, list[Took]]
    memory: float


def config(trials: int, storage: str | None) -> StudyConfig:
    """Of a study that has room for more candidates than there are."""
    plain = {
        "name": "long",
        "trials": 2 * trials,
        "baselines": "none",
        "halving": {"rungs": [30, 90], "reduction": 3},
        "recipe": {"partitions": [{"resolution": 64, "batch": 32}], "steps": 270},
        "target": {"resolution": 64},
        "storage": storage,
    }
    return StudyConfig.parse(plain, "the benchmark")


def timed(call: Callable[[], Answer], found: list[Took]) -> Answer:
    """Do it, and note how long it takes."""
    clock, processor = time.perf_counter(), time.process_time()
    answer = call()
    found.append((time.perf_counter() - clock, time.process_time() - processor))
    return answer


def draws(run: Run, latest: int | None, repeats: int) -> list[Took]:
    """What `ask` and the space's questions take."""
    found: list[Took] = []
    study = run.studies["candidate"]
    study.sampler = sampler("tpe", 0, latest)
    study.get_trials(deepcopy=False)
    for _ in range(repeats):
        fail(study, timed(partial(drawn, run), found), "surplus", "drawn for its time only")
    return found


def drawn(run: Run) -> Trial:
    """One trial with all its parameters."""
    trial = run.studies["candidate"].ask()
    run.space.suggest(trial)
    return trial


def steps(run: Run, repeats: int) -> dict[str, list[Took]]:
    """What a worker asks of its ledger, in the order in which it does, until some networks have been drawn."""
    names = ("first look", _IN_LINE, _DRAWN, "measured", "reached", "tell")
    found: dict[str, list[Took]] = {name: [] for name in names}
    study, ledger, loss = run.studies["candidate"], run.ledger, 0.9
    study.sampler = sampler(run.config.sampler, run.config.seed)
    timed(run.candidates, found["first look"])
    number = 0
    while len(found[_DRAWN]) < repeats:
        number += 1
        took: list[Took] = []
        claim = timed(ledger.claim, took)
        assert claim is not None
        waited = "fixed_params" in study.get_trials(deepcopy=False)[claim.trial.number].system_attrs
        found[_IN_LINE if waited else _DRAWN] += took
        measurement = made_up.measured(900.0 + number)
        timed(partial(ledger.measured, claim, [measurement]), found["measured"])
        ledger.score(claim, 30, loss)
        timed(partial(ledger.reached, claim, 30), found["reached"])
        record = made_up.trial(claim.number, measurement=measurement, network_digest=claim.network.digest())
        record = record.model_copy(update={"state": "halted", "end": "halted", "score": made_up.scored(loss, 30)})
        timed(partial(ledger.tell, claim, record), found["tell"])
    return {name: some for name, some in found.items() if some}


PARTS: dict[str, Callable[[Run], dict[str, list[Took]]]] = {
    "ledger": lambda run: steps(run, 20),
    "draw": lambda run: {"draw": draws(run, None, 20)},
    "all": lambda run: {"draw, all trials": draws(run, 10**9, 5)},
}


def in_a_process(command: list[str], log: Path) -> tuple[Took, float]:
    """What a command takes from its start to its end, and gigabytes.

    Raises:
        SystemExit: it failed.
    """
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(log.read_text(encoding="utf-8", errors="replace"))
    return (time.perf_counter() - start, used.ru_utime + used.ru_stime), used.ru_maxrss / 1e6


def part(folder: Path, name: str) -> Cost:
    """One of PARTS, in a process of its own."""
    log = folder / f"{name}.log"
    _, memory = in_a_process([__file__, "--part", name, "--folder", str(folder)], log)
    return Cost(json.loads(log.read_text(encoding="utf-8").splitlines()[-1]), memory)


def command(folder: Path, verb: str) -> Cost:
    """A command of the program, start-up included."""
    took, memory = in_a_process(["-m", "eradio", verb, str(folder)], folder / f"{verb}.log")
    return Cost({verb: [took]}, memory)


def make(folder: Path, trials: int, storage: str | None) -> None:
    """A study in a fresh folder and storage."""
    making: list[Took] = []
    folder.mkdir(parents=True, exist_ok=True)
    run = open_run(folder, config(trials, storage))
    timed(lambda: write(run, made(run, trials, _RUNNING)), making)
    print(f"{trials:,} trials made in {making[0][0]:.0f} s", flush=True)


def show(folder: Path, repeats: int) -> None:
    """Print what the study in a folder costs."""
    console = Console(width=100)
    rows = Table("step", "median s", "slowest s", "processor s", "aim s", "process GB", "met", box=None)
    for cost in (
        *(command(folder, verb) for _ in range(repeats) for verb in ("status", "report")),
        *(part(folder, name) for name in PARTS),
    ):
        for name, seconds in cost.seconds.items():
            clocks, aim = [clock for clock, _ in seconds], _AIMS.get(name)
            middle, busy = statistics.median(clocks), statistics.median([processor for _, processor in seconds])
            met = "" if aim is None else "yes" if middle <= aim and cost.memory <= _MOST_MEMORY else "no"
            shown = "" if aim is None else f"{aim:g}"
            console.print(f"{name}: {middle:.3f} s, {busy:.3f} s of the processor, {cost.memory:.2f} GB")
            rows.add_row(name, f"{middle:.3f}", f"{max(clocks):.3f}", f"{busy:.3f}", shown, f"{cost.memory:.2f}", met)
    console.print(rows)


@contextmanager
def stored(kind: str) -> Iterator[str | None]:
    """The address of a fresh storage; None for the embedded one."""
    if kind == "sqlite":
        yield None
        return
    with private_postgres() as server:
        os.environ["PGPASSWORD"] = PASSWORD
        yield server.url(server.create_database(), password=None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--storage", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--folder", type=Path, help="of a study that is there already")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--part", choices=tuple(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](open_run(given.folder))))
    elif given.folder:
        show(given.folder, given.repeats)
    else:
        with tempfile.TemporaryDirectory() as own, stored(given.storage) as address:
            make(Path(own) / "run", given.trials, address)
            show(Path(own) / "run", given.repeats)
