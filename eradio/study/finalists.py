"""The finalist phase: the best students and their nearest rivals, trained for the same, longer time."""

import os
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np

from eradio.description import Description
from eradio.distill.checkpoint import CheckpointFolder
from eradio.errors import networks_own
from eradio.files import read_json, write_json
from eradio.front import front
from eradio.locks import try_lock
from eradio.search_space import parse_network
from eradio.study.display import FINALIST
from eradio.study.ledger import RECORD, hopeless_reason, read_records
from eradio.study.objective import curve_of, manifest, reason, score_of, teach, untrained
from eradio.study.records import SEED_NOISE, Comparison, FinalistRecord, Role, TrialRecord
from eradio.study.run import Run
from eradio.tensors import write_tensors

Show = Callable[[str, Path | None, int, int], None]


class Finalist(Description):
    """One chosen network, by its trial."""

    role: Role
    number: int

    def folder(self, run: Run) -> Path:
        """Where its record goes."""
        return run.folder / "finalists" / f"{self.role}-{self.number:04d}"


def choose(records: list[TrialRecord], count: int) -> list[Finalist]:
    """The `count` best students of the front and, for each, the baseline nearest in throughput.

    Best are those of the front with the lowest loss, but for the ones that a faster one equals within what
    another seed changes (epsilon-dominance: Laumanns et al. 2002). The baselines are those of their own front,
    since beating a rival that another rival beats would say little. Slow ones come first, so that workers end
    together.
    """
    students, rivals = _front_of(records, "candidate"), _front_of(records, "baseline")
    best = [one for one in students if not any(_equals(other, one) for other in students)][:count]
    chosen: dict[tuple[str, int], TrialRecord] = {}
    for student in best:
        chosen[student.role, student.number] = student
        free = [rival for rival in rivals if (rival.role, rival.number) not in chosen]
        if free:
            near = min(free, key=lambda rival: abs(log(_speed(rival) / _speed(student))))
            chosen[near.role, near.number] = near
    ordered = sorted(chosen.values(), key=_speed)
    return [Finalist(role=record.role, number=record.number) for record in ordered]


def chosen_in(run: Run) -> list[Finalist]:
    """The finalists of a study whose trials have all ended: the same for every worker, and after a restart.

    They follow from the trials, so a study that is continued with a larger budget may get others; those that are
    trained already keep their records.
    """
    return choose(read_records(run.folder, run.studies), run.config.finalists)


def finished(run: Run, chosen: list[Finalist]) -> bool:
    """Whether every finalist is done."""
    return all(_done(run, finalist) for finalist in chosen)


def next_one(run: Run, chosen: list[Finalist], show: Show) -> bool:
    """Train and test one finalist that nobody holds; False if there is none."""
    for finalist in chosen:
        folder = finalist.folder(run)
        if _done(run, finalist):
            continue
        lock = try_lock(folder / "lock")
        if lock is None:
            continue
        try:
            if not _done(run, finalist):
                record = _finish(run, finalist, show)
                write_json(folder / RECORD, record.model_dump(mode="json"))
                CheckpointFolder(_trial_folder(run, finalist)).drop(record.score.steps)
                return True
        finally:
            os.close(lock)
    return False


def read_finalists(folder: Path) -> list[FinalistRecord]:
    """The records of the finalists that are done."""
    paths = sorted(folder.glob(f"finalists/*/{RECORD}"))
    return [FinalistRecord.parse(read_json(path), str(path)) for path in paths]


def _done(run: Run, finalist: Finalist) -> bool:
    """Whether it was trained for as long as the study now asks, or cannot be."""
    path = finalist.folder(run) / RECORD
    if not path.exists():
        return False
    record = FinalistRecord.parse(read_json(path), str(path))
    return record.reason is not None or record.score.steps == run.config.finalist_steps


def _finish(run: Run, finalist: Finalist, show: Show) -> FinalistRecord:
    folder = _trial_folder(run, finalist)
    trial = TrialRecord.parse(read_json(folder / RECORD), str(folder / RECORD))
    network = parse_network(trial.network, str(folder / RECORD))
    steps = run.config.finalist_steps
    name = f"{FINALIST} {trial.name}"
    known = {
        "role": trial.role,
        "number": trial.number,
        "name": trial.name,
        "network_digest": trial.network_digest,
        "measurement": trial.measurement,
        "manifest": manifest(run, network),
    }
    hopeless = hopeless_reason(finalist.folder(run))
    if hopeless:
        return FinalistRecord(**known, score=trial.score, curve=trial.curve, reason=hopeless)
    try:
        student, outcome = teach(
            run, network, folder, steps, lambda step, loss: show(name, finalist.folder(run), step, steps)
        )
    except Exception as error:
        if not networks_own(error):
            raise
        return FinalistRecord(**known, score=trial.score, curve=trial.curve, reason=reason(error))
    write_json(finalist.folder(run) / "architecture.json", trial.network)
    write_tensors(finalist.folder(run) / "student.safetensors", student.state_dict())
    comparisons: tuple[Comparison, ...] = ()
    if run.bench is not None:
        before = untrained(run, network)
        before.heads.restore(run.scales)
        with run.device.training():
            comparisons = run.bench.compare(student, before)
    return FinalistRecord(**known, score=score_of(outcome), curve=curve_of(outcome), comparisons=comparisons)


def _trial_folder(run: Run, finalist: Finalist) -> Path:
    return run.folder / f"{finalist.role}s" / f"{finalist.number:04d}"


def _front_of(records: list[TrialRecord], role: Role) -> list[TrialRecord]:
    some = [record for record in records if record.role == role and record.score and record.duplicate_of is None]
    points = np.array([[_loss(record), -_speed(record)] for record in some])
    return [some[index] for index in front(points)]


def _equals(faster: TrialRecord, one: TrialRecord) -> bool:
    return _speed(faster) > _speed(one) and _loss(faster) <= _loss(one) * (1 + SEED_NOISE)


def _loss(record: TrialRecord) -> float:
    assert record.score is not None
    return record.score.loss


def _speed(record: TrialRecord) -> float:
    assert record.measurement is not None
    return record.measurement.throughput.value
