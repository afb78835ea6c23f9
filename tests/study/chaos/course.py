"""A study from a list of networks, taught once in peace and once under disturbance, and what became of it."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import yaml
from optuna.study import Study
from optuna.trial import FrozenTrial

from eradio.files import read_json
from eradio.search_space import SearchSpace
from eradio.study.config import read_config
from eradio.study.run import Run, open_run
from tests.services import Postgres
from tests.slurm_node import SlurmNode
from tests.study.chaos import checks
from tests.study.chaos.cluster import Cluster
from tests.study.chaos.disturbances import Disturber
from tests.study.chaos.written_files import WrittenFiles

STUDY = {
    "finalists": 0,
    "baselines": "none",
    "sampler": "random",
    "recipe": {"steps": 24, "partitions": [{"batch": 4}], "validation": 4, "optimiser": {"warmup": 2}},
    "halving": {"rungs": [6, 12], "reduction": 2},
    "lease": 6.0,
    "target": {
        "engine": "eager",
        "batch": 1,
        # Wide enough that all measurements settle, and are known to the second study.
        "protocol": {"min_seconds": 0.02, "max_seconds": 0.05, "block_seconds": 0.002, "half_width": 0.9},
    },
}
_FORGOTTEN = 4
"""One in so many networks is measured again in the disturbed study."""
_DOUBLE = 8
"""One in so many networks stands in the list twice, one right after the other."""
_PATIENCE_SECONDS = 1800.0
"""For what is left to be done when nobody disturbs any more."""


@dataclass(frozen=True)
class Outcome:
    """What was done, what came of it, and what is not as it must be, by check."""

    done: Counter[str]
    facts: dict[str, int]
    wrong: dict[str, list[str]]


def chaos(
    folder: Path,
    server: Postgres,
    *,
    seconds: float,
    candidates: int,
    workers: int,
    seed: int,
    every: float,
    slurm: SlurmNode | None = None,
) -> Outcome:
    """Both studies, and their comparison.

    Args:
        folder: for both, new; the cache of measurements must be nobody else's.
        server: running.
        seconds: for which the second study is disturbed, unless it is finished before; longer if something has not
            been done by then.
        candidates: in the list, without those that stand in it twice.
        workers: of the second study.
        seed: of all that is drawn.
        every: seconds between two disturbances, on average.
        slurm: under which two of them run.
    """
    os.environ["ERADIO_STORAGE"] = server.url(server.create_database())
    networks = _listed(candidates, seed)
    calm = _begun(folder, "calm", candidates, networks, [])
    cluster = Cluster(server, folder / "calm.yaml", calm.folder)
    try:
        _to_the_end(cluster, calm, 2)
    finally:
        cluster.stop()
    undisturbed = _trials(calm)

    run = _begun(folder, "chaos", candidates, networks, undisturbed)
    cluster = Cluster(server, folder / "chaos.yaml", run.folder, slurm)
    for number in range(len(networks)):
        (run.folder / "candidates" / f"{number:04d}").mkdir(parents=True)
    (run.folder / "canary.json").write_bytes((calm.folder / "canary.json").read_bytes())
    remembered = _remembered(calm.folder)
    disturber = Disturber(cluster, _study(run), run.config.lease, random.Random(seed), folder / "actions.log")
    with WrittenFiles(sorted((run.folder / "candidates").iterdir())) as written:
        try:
            _disturbed(cluster, run, disturber, seconds, workers, every)
            disturbed = time.monotonic() - disturber.began
            _to_the_end(cluster, run, workers)
        finally:
            disturber.wake(everybody=True)
            cluster.stop()
    trials = _trials(run)
    again, late = checks.taught_again(trials, written.found)
    ends = Counter(checks.end_of(trial) for trial in trials)
    facts = {
        "candidates in the list": len(networks),
        "trials": len(trials),
        **{f"trials that ended as {end}": count for end, count in sorted(ends.items())},
        "attempts put in line twice, made once": len(checks.put_in_line_twice(trials)),
        "rungs written once more by one that was paused": late,
        "workers spared": disturber.spared,
        "launches": len(cluster.launched),
        "seconds of disturbance": round(disturbed),
    }
    wrong = {
        "the undisturbed study is in order": [
            *checks.under_way(undisturbed),
            *checks.chains(undisturbed, len(networks)),
            *checks.told(undisturbed, calm.folder),
        ],
        "no trial runs or waits": checks.under_way(trials),
        "one end for each candidate": checks.chains(trials, len(networks)),
        "an attempt that is in line twice is made once": checks.twice_in_line(trials),
        "what was told stands in the files": checks.told(trials, run.folder),
        "no rung is taught again": [*again, *(["the kernel's list is not whole"] if written.overflown else [])],
        "losses and ends as undisturbed": checks.same_results(trials, undisturbed),
        "front as undisturbed": checks.same_front(trials, undisturbed),
        "known throughputs as undisturbed": checks.same_throughputs(trials, undisturbed, remembered),
        "nobody asked for help but for want of room": _asked_for_help(cluster, disturber.no_room),
    }
    return Outcome(disturber.done, facts, {what: list(sentences) for what, sentences in wrong.items()})


def _listed(count: int, seed: int) -> list[dict[str, object]]:
    """The parameters of so many different networks, some of them twice."""
    space, found = SearchSpace.named("tiny"), dict[str, dict[str, object]]()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    while len(found) < count:
        network = space.suggest(study.ask())
        found.setdefault(network.digest(), space.encode(network))
    doubled = [[one, one] if number % _DOUBLE == 0 else [one] for number, one in enumerate(found.values())]
    return [one for some in doubled for one in some]


def _begun(
    folder: Path, name: str, candidates: int, networks: Sequence[dict[str, object]], earlier: Sequence[FrozenTrial]
) -> Run:
    """A study whose list stands in its storage, with what an earlier one decided on each candidate."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "trials": candidates, **STUDY}), encoding="utf-8")
    (folder / name).mkdir()
    run = open_run(folder / name, read_config(path))
    known: dict[str, dict[str, object]] = {}
    for chain in checks.chains_of(earlier).values():
        decided = {key: value for one in chain for key, value in one.user_attrs.items() if key.startswith("decision")}
        known.setdefault(_named_by(chain[0].params), {}).update(decided)
    for parameters in networks:
        _study(run).enqueue_trial(dict(parameters), user_attrs=known.get(_named_by(parameters), {}))
    return run


def _named_by(parameters: Mapping[str, object]) -> str:
    return json.dumps(dict(sorted(parameters.items())))


def _remembered(folder: Path) -> set[str]:
    """Take some measurements of a run out of the cache; the networks of which it still has one."""
    found = set()
    for number, path in enumerate(sorted(folder.glob("candidates/*/measurement.json"))):
        identity, network = read_json(path)["identity"], read_json(path)["network"]
        known = Path(os.environ["XDG_CACHE_HOME"]) / "eradio" / "measurements" / f"{identity}.json"
        if number % _FORGOTTEN == 0:
            known.unlink(missing_ok=True)
        elif known.exists():
            found.add(network)
    return found


def _disturbed(cluster: Cluster, run: Run, disturber: Disturber, seconds: float, workers: int, every: float) -> None:
    """Disturb for so long, and until each thing was done once, or until nothing is left to do.

    What has not been done yet comes at an even pace, what follows by chance. Others are launched for workers that ended
    for good.
    """
    deadline = time.monotonic() + seconds
    following = time.monotonic() + every
    if cluster.slurm is not None:
        cluster.launch("slurm", 2)
    while (time.monotonic() < deadline or disturber.lacking()) and not run.ledger.finished():
        _fill(cluster, workers)
        time.sleep(0.3)
        disturber.wake()
        if time.monotonic() >= following and disturber.once():
            gap = every if disturber.lacking() else disturber.random.expovariate(1 / every)
            following = time.monotonic() + gap
    disturber.wake(everybody=True)
    disturber.write("nobody is disturbed any more")


def _fill(cluster: Cluster, workers: int) -> None:
    if (lacking := workers - cluster.going()) > 0:
        cluster.launch("local", lacking)


def _to_the_end(cluster: Cluster, run: Run, workers: int) -> None:
    """Have a study finished, and its workers ended."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not run.ledger.finished() and time.monotonic() < deadline:
        _fill(cluster, workers)
        time.sleep(1.0)
    while cluster.going() and time.monotonic() < deadline:
        time.sleep(0.5)


def _asked_for_help(cluster: Cluster, no_room: Container[str]) -> Iterator[str]:
    for name, note in cluster.ended().items():
        # One that was killed while it did what it was told had no more to say; one killed for not doing it is a fault.
        killed = note.told is not None and note.status == 137 and "after it was asked to" not in note.words
        if note.status not in (None, 0, 143) and name not in no_room and not killed:
            yield f"{name} ended with status {note.status}: {note.words}"


def _study(run: Run) -> Study:
    return run.studies["candidate"]


def _trials(run: Run) -> list[FrozenTrial]:
    return _study(run).get_trials(deepcopy=False)
