"""The search as one process sees it: prepares the run, keeps workers alive, and shows how far they are."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from eradio.distill.choice import choose
from eradio.distill.readable import Readable
from eradio.errors import EradioError
from eradio.files import read_json, sweep, write_json
from eradio.locks import locked
from eradio.manifest import environment
from eradio.profile import calibrate
from eradio.search_space import named
from eradio.study.config import StudyConfig
from eradio.study.display import Display, Snapshot, Workload
from eradio.study.finalists import read_finalists
from eradio.study.ledger import count_death, read_records
from eradio.study.records import StudyRecords
from eradio.study.run import Run, open_run
from eradio.study.storage import storage_refusals

_POLL_SECONDS = 1.0
_MOST_RESTARTS = 6
_PATIENCE_SECONDS = 5.0


def search(folder: Path, config: StudyConfig, workers: int, console: Console) -> StudyRecords:
    """Run a study to its end, or continue it, and return its records.

    Args:
        folder: the run folder; created if missing.
        config: must equal the folder's own but for the budget.
        workers: number of worker processes, one torch thread each.
        console: where progress goes.

    Raises:
        EradioError: the study cannot go on; what is finished is kept.
    """
    run = open_run(folder, config)
    with storage_refusals(folder / "study.db"):
        _prepare(run, console)
        began = time.monotonic()
        try:
            _supervise(run, workers, console)
        finally:
            _add_seconds(folder, time.monotonic() - began)
        records = read_study(folder)
    _name_undecodable(run, records, console)
    return records


def read_study(folder: Path) -> StudyRecords:
    """All records of a run folder, finished or not.

    Raises:
        EradioError: the folder holds no run.
    """
    run = open_run(folder)
    clock = folder / "seconds.json"
    facts = folder / "facts.json"
    known = read_json(facts) if facts.exists() else {"environment": environment(), "digests": {}}
    return StudyRecords(
        name=run.config.name,
        config=run.config.model_dump(mode="json"),
        environment=known["environment"],
        digests=known["digests"],
        seconds=read_json(clock) if clock.exists() else None,
        trials=tuple(read_records(folder, run.studies)),
        finalists=tuple(read_finalists(folder)),
    )


def _prepare(run: Run, console: Console) -> None:
    """Check what can be checked before anything is paid for."""
    digests = run.check()
    for data in run.data:
        if isinstance(data, Readable) and data.unreadable():
            console.print(
                f"{len(data.unreadable())} of {len(data)} files cannot be read and are replaced: "
                f"{_listed(data.unreadable())}",
                markup=False,
            )
    with locked(run.folder / "prepare.lock"):
        run.begin(digests)
        sweep(run.folder)
        path = run.folder / "targets.json"
        if not path.exists():
            free, students = shutil.disk_usage(run.folder).free, run.config.trials + len(run.baselines)
            steps = _longest(run.config)
            choice = choose(run.live, run.cached, steps=steps, free=free, students=students)
            write_json(path, asdict(choice))
    console.print(read_json(path)["why"] + ".")
    with console.status("Measuring the canary, the unit of every throughput, while nothing else runs"):
        target = run.config.target
        pictures = run.calibration() if target.precision == "int8" else None
        calibrate(target, canary_folder=run.folder, lock=run.device, calibration=pictures)
    run.ledger.enqueue([named(name) for name in run.config.named])


def _longest(config: StudyConfig) -> int:
    """Steps of the longest training."""
    return config.finalist_steps if config.finalists else config.recipe.steps


def _supervise(run: Run, workers: int, console: Console) -> None:
    processes = [_start(run.folder) for _ in range(workers)]
    restarts = done = 0
    with Display(console, _workload(run)) as display:
        try:
            while processes:
                time.sleep(_POLL_SECONDS)
                snapshot = _snapshot(run, processes)
                display.update(snapshot)
                if snapshot.ended() > done:
                    restarts, done = 0, snapshot.ended()
                for process in [process for process in processes if process.poll() is not None]:
                    processes.remove(process)
                    if process.returncode == 0:
                        continue
                    if process.returncode > 0:
                        raise EradioError(_last_words(run.folder, process))
                    restarts += 1
                    if restarts > _MOST_RESTARTS:
                        raise EradioError(f"{restarts} workers died in a row. Free some memory, then run it again.")
                    _blame(run.folder, process.pid)
                    processes.append(_start(run.folder))
            display.update(_snapshot(run, processes))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    """Wait for a worker that was told to end; one that is stopped, or stuck, is killed: it loses no finished work."""
    try:
        process.wait(timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _name_undecodable(run: Run, records: StudyRecords, console: Console) -> None:
    """Say which pictures had a sound header and yet could not be decoded."""
    known = {name for data in run.data if isinstance(data, Readable) for name in data.unreadable()}
    met = {name for trial in records.trials for name in trial.manifest.get("unreadable", ())}
    if met - known:
        late = sorted(met - known)
        console.print(f"{len(late)} more files could not be decoded and were replaced: {_listed(late)}", markup=False)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _start(folder: Path) -> "subprocess.Popen[str]":
    log = folder / "workers" / f"{time.time_ns()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with log.open("w", encoding="utf-8") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "eradio.study.worker", str(folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **threads},
        )
    log.rename(log.with_name(f"{process.pid}.log"))
    return process


def _last_words(folder: Path, process: "subprocess.Popen[str]") -> str:
    log = folder / "workers" / f"{process.pid}.log"
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    if "Traceback (most recent call last):" in lines:
        return f"A worker failed unexpectedly ({lines[-1]}); the whole story is in {log}."
    return lines[-1] if lines else f"A worker ended with status {process.returncode} and said nothing."


def _status(folder: Path, process: "subprocess.Popen[str]") -> dict[str, object] | None:
    path = folder / "workers" / f"{process.pid}.json"
    try:
        state: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state


def _blame(folder: Path, pid: int) -> None:
    path = folder / "workers" / f"{pid}.json"
    if path.exists():
        job = json.loads(path.read_text(encoding="utf-8"))["folder"]
        if job is not None:
            count_death(Path(job))


def _snapshot(run: Run, processes: Sequence["subprocess.Popen[str]"]) -> Snapshot:
    states = [state for process in processes if (state := _status(run.folder, process))]
    records = tuple(read_records(run.folder, run.studies))
    return Snapshot(records, tuple(read_finalists(run.folder)), tuple(states))


def _workload(run: Run) -> Workload:
    config, rivals = run.config, len(run.baselines)
    return Workload(
        networks=config.trials + rivals,
        steps=config.recipe.steps,
        finalists=config.finalists + min(config.finalists, rivals),
        finalist_steps=config.finalist_steps,
    )


def _add_seconds(folder: Path, seconds: float) -> None:
    path = folder / "seconds.json"
    write_json(path, (read_json(path) if path.exists() else 0.0) + seconds)
