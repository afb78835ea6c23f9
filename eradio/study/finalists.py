"""The finalist phase: the best students and their nearest rivals, trained for the same, longer time."""

from collections.abc import Sequence
from math import log

from eradio.files import read_json
from eradio.study.holding import Claim
from eradio.study.kept import kept
from eradio.study.ledger import RECORD
from eradio.study.memory import shared_memory
from eradio.study.objective import Pupil, Reached, manifest, rung_file, untrained
from eradio.study.reading import read_records, unfinished
from eradio.study.records import SEED_NOISE, Comparison, FinalistRecord, TrialRecord, on_a_front
from eradio.study.run import Run


def choose(records: Sequence[TrialRecord], count: int) -> list[str]:
    """The `count` best students of the fronts and, for each, the baseline nearest in throughput, as `ROLE-NUMBER`.

    Best are those of any target's front with the lowest loss, but for the ones that one which is faster on all targets
    equals within what another seed changes (epsilon-dominance: Laumanns et al. 2002). The baselines are those of their
    own fronts, since beating a rival that another rival beats would say little. Slow ones come first, so that workers
    end together.
    """
    students = sorted(on_a_front(records, "candidate"), key=_loss)
    rivals = on_a_front(records, "baseline")[::-1]
    best = [one for one in students if not any(_equals(other, one) for other in students)][:count]
    chosen: dict[tuple[str, int], TrialRecord] = {}
    for student in best:
        chosen[student.role, student.number] = student
        free = [rival for rival in rivals if (rival.role, rival.number) not in chosen]
        if free:
            near = min(free, key=lambda rival: abs(log(_speed(rival) / _speed(student))))
            chosen[near.role, near.number] = near
    ordered = sorted(chosen.values(), key=_speed)
    return [f"{record.role}-{record.number:04d}" for record in ordered]


def chosen_in(run: Run) -> list[str]:
    """The finalists of a study whose trials have all ended: the same for every worker, and after a restart.

    They follow from the trials, so a study that is continued with a larger budget may get others; those that are
    trained already keep their records.
    """
    return choose(read_records(run.folder, run.studies), run.config.finalists)


def begin(run: Run, pupil: Pupil) -> None:
    """Let a finalist go on from where its trial stopped."""
    known = _trial_of(run, pupil.claim)
    pupil.work = run.folder / f"{known.role}s" / f"{known.number:04d}"
    pupil.measurements = known.measurements
    reached = kept(Reached, rung_file(pupil.claim.folder, run.config.finalist_steps))
    if reached is not None:
        pupil.reached.append(reached)


def record_of(run: Run, pupil: Pupil, reason: str | None = None) -> FinalistRecord:
    """The record of a finalist that has ended.

    Args:
        run: it belongs to.
        pupil: with what it reached.
        reason: why it did not end, if so.

    Raises:
        NoMemoryError: there is none for comparing it with its teachers.
        Exception: it cannot be compared with them.
    """
    trial = _trial_of(run, pupil.claim)
    if reason is not None:
        return unfinished(trial, reason)
    last = pupil.reached[-1]
    update = {"score": last.score, "curve": last.curve, "seconds": pupil.seconds, "reason": None}
    update["manifest"] = manifest(run, pupil.claim.network)
    return unfinished(trial, "").model_copy(update=update | {"comparisons": _comparisons(run, pupil)})


def _comparisons(run: Run, pupil: Pupil) -> tuple[Comparison, ...]:
    if run.bench is None:
        return ()
    student = untrained(run, pupil.claim.network)
    student.load_state_dict(pupil.weights())
    before = untrained(run, pupil.claim.network)
    before.heads.restore(run.scales)
    run.rest()
    with run.device.training(), shared_memory("Comparing a finalist with its teachers"):
        return run.bench.compare(student, before)


def _trial_of(run: Run, claim: Claim) -> TrialRecord:
    role, _, number = claim.folder.name.partition("-")
    path = run.folder / f"{role}s" / number / RECORD
    return TrialRecord.parse(read_json(path), str(path))


def _equals(faster: TrialRecord, one: TrialRecord) -> bool:
    pairs = zip(faster.measurements, one.measurements, strict=True)
    ahead = all(theirs.throughput.value > own.throughput.value for theirs, own in pairs)
    return ahead and _loss(faster) <= _loss(one) * (1 + SEED_NOISE)


def _loss(record: TrialRecord) -> float:
    assert record.score is not None
    return record.score.loss


def _speed(record: TrialRecord) -> float:
    assert record.measurement is not None
    return record.measurement.throughput.value
