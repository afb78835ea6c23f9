"""How many workers a study's storage carries: what they wait for it, beside what they train.

Workers are light processes with a storage object and a ledger of their own, on one private PostgreSQL. They do all that
a worker asks of its ledger (claim, measured, reached at every rung, tell, beats), and instead of training they sleep.
Named alternative, interleaved in the same run: `study.ask` and `study.tell` of plain Optuna, with the same sampler, the
same questions of the space and the same sleeps. How long each is trained is the same in both.

All workers share the cores of one machine with the server, which a cluster's do not.

Run: PYTHONPATH=. python benchmarks/study_scale.py [--seconds 4] [--trials 9] [--workers 1 2 4 8 16 64]
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from eradio.search_space import Network
from eradio.study.config import StudyConfig
from eradio.study.holding import Claim
from eradio.study.lease import Beating
from eradio.study.ledger import Ledger
from eradio.study.run import Run, open_run
from eradio.study.trials import EndedError
from tests.analysis import made_up
from tests.services import PASSWORD, private_postgres

RUNGS = (30, 90, 270)
PARTS = (1 / 3, 1.0, 3.0)
"""What each rung takes, in parts of a trial's mean: one in three goes on from each, so all rungs take as long."""

_PATIENCE_SECONDS = 1800.0
"""For which the slowest worker is waited for."""


@dataclass(frozen=True)
class Told:
    """What one worker did: seconds in all, and those asleep, which stand for training."""

    seconds: float
    trained: float


@dataclass(frozen=True)
class Rate:
    """Of all workers together: trials a second, and the part of their time in which they did not train."""

    trials: float
    other: float


class Training:
    """Sleeps instead of training; how long follows from the worker and its count of trials.

    Args:
        mean: seconds of a trial.
        worker: which one.
    """

    def __init__(self, mean: float, worker: int) -> None:
        self._mean = mean
        self._worker = worker
        self.trained = 0.0

    def sleeps(self, trial: int) -> list[float]:
        """Seconds at each rung that a worker's trial reaches: one in three goes on from each."""
        turn = trial + self._worker
        rungs = 3 if turn % 9 == 0 else 2 if turn % 3 == 0 else 1
        random = np.random.default_rng([self._worker, trial])
        return [self._mean * part * float(random.uniform(0.8, 1.2)) for part in PARTS[:rungs]]

    def sleep(self, seconds: float) -> None:
        """Train."""
        time.sleep(seconds)
        self.trained += seconds


def ledgers(run: Run, training: Training, trials: int) -> None:
    """A worker of ours, for so many trials."""
    ledger, done = run.ledger, 0
    with Beating(ledger.holding.beat, run.config.lease):
        while done < trials:
            # As a worker asks between two trials.
            assert ledger.asked_to_stop() is None
            assert not ledger.finished()
            claim = ledger.claim()
            assert claim is not None
            try:
                teach(ledger, claim, training.sleeps(done), training)
                done += 1
            except EndedError:  # another worker drew the same network in the same moment
                ledger.holding.drop(claim.key)


def teach(ledger: Ledger, claim: Claim, sleeps: Sequence[float], training: Training) -> None:
    """What a worker asks of its ledger while it teaches a network to so many rungs.

    Raises:
        EndedError: it is another one's duplicate.
    """
    loss, rate = outcome(claim.network)
    measurement = made_up.measured(rate)
    ledger.measured(claim, [measurement])
    for steps, seconds in zip(RUNGS, sleeps, strict=False):
        training.sleep(seconds)
        if steps != RUNGS[-1]:
            ledger.score(claim, steps, loss)
            ledger.reached(claim, steps)
    score = made_up.scored(loss, RUNGS[len(sleeps) - 1])
    end = "complete" if len(sleeps) == len(RUNGS) else "halted"
    record = made_up.trial(claim.number, measurement=measurement, score=score, state=end, end=end)
    ledger.tell(claim, record.model_copy(update={"network_digest": claim.network.digest()}))


def plainly(run: Run, training: Training, trials: int) -> None:
    """The same of Optuna alone."""
    study = run.studies["candidate"]
    for number in range(trials):
        trial = study.ask()
        loss, rate = outcome(run.space.suggest(trial))
        for seconds in training.sleeps(number):
            training.sleep(seconds)
        study.tell(trial, [loss, rate])


WAYS: dict[str, Callable[[Run, Training, int], None]] = {"ask and tell": plainly, "ledger": ledgers}


def outcome(network: Network) -> tuple[float, float]:
    """A made-up loss and throughput that follow from the network."""
    random = np.random.default_rng(int(network.digest(), 16))
    rate = float(np.exp(random.uniform(np.log(200), np.log(4000))))
    return 0.28 + 0.055 * float(np.log2(rate / 200)) + abs(float(random.normal(0, 0.06))), rate


def config(name: str, storage: str) -> StudyConfig:
    """Of a study that does not end meanwhile."""
    plain = {
        "name": name,
        "trials": 100_000,
        "baselines": "none",
        "halving": {"rungs": RUNGS[:-1], "reduction": 3},
        "recipe": {"partitions": [{"resolution": 64, "batch": 32}], "steps": RUNGS[-1]},
        "target": {"resolution": 64},
        "storage": storage,
    }
    return StudyConfig.parse(plain, "the benchmark")


def measured(way: str, workers: int, trials: int, storage: str, mean: float) -> Rate:
    """Let workers work on a fresh study."""
    fork = multiprocessing.get_context("fork")
    told: Queue[Told] = fork.Queue()
    ready = fork.Barrier(workers)
    own = config(f"{way.split()[0]}-{workers}-{time.monotonic_ns()}", storage)
    with tempfile.TemporaryDirectory() as folder:
        open_run(Path(folder), own).begin({})
        work = partial(_work, way, Path(folder), own, ready, told, mean, trials)
        processes = [fork.Process(target=work, args=(number,)) for number in range(workers)]
        for process in processes:
            process.start()
        found = [told.get(timeout=_PATIENCE_SECONDS) for _ in processes]
        for process in processes:
            process.join()
    seconds = sum(one.seconds for one in found)
    return Rate(workers * workers * trials / seconds, 1 - sum(one.trained for one in found) / seconds)


def _work(
    way: str,
    folder: Path,
    config: StudyConfig,
    ready: Barrier,
    told: "Queue[Told]",
    mean: float,
    trials: int,
    worker: int,
) -> None:
    run, training = open_run(folder, config), Training(mean, worker)
    run.studies["candidate"].get_trials(deepcopy=False)
    ready.wait()
    start = time.monotonic()
    WAYS[way](run, training, trials)
    told.put(Told(time.monotonic() - start, training.trained))


def main(workers: Sequence[int], mean: float, trials: int) -> None:
    """Measure each number of workers both ways, and print the table."""
    console = Console(width=100)
    rows = Table(box=None, title=f"{mean:g} s of training a trial in the mean, {trials} trials a worker")
    for heading in ("workers", "without storage", "ask and tell", "not training", "ledger", "not training", "ratio"):
        rows.add_column(heading, justify="right")
    with private_postgres() as server:
        os.environ["PGPASSWORD"] = PASSWORD
        server.sql("ALTER SYSTEM SET max_connections = 300")
        server.stop()
        server.start()
        storage = server.url(server.create_database(), password=None)
        for number in workers:
            rates = {way: measured(way, number, trials, storage, mean) for way in WAYS}
            plain, ours = rates["ask and tell"], rates["ledger"]
            cells = [f"{cell:.3f}" for cell in (number / mean, plain.trials)] + [f"{plain.other:.1%}"]
            cells += [f"{ours.trials:.3f}", f"{ours.other:.1%}", f"{ours.trials / plain.trials:.2f}"]
            rows.add_row(str(number), *cells)
            console.print(*cells)
    console.print(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of training a trial, in the mean")
    parser.add_argument("--trials", type=int, default=9, help="of each worker")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 64])
    given = parser.parse_args()
    main(given.workers, given.seconds, given.trials)
