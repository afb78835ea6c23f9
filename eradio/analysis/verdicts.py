"""What the finalists' longer training showed, in sentences that never rank two intervals that overlap."""

import math

from eradio.analysis.numbers import counted, number, plus_minus
from eradio.analysis.points import called
from eradio.study.records import SEED_NOISE, FinalistRecord, StudyRecords


def verdicts(run: StudyRecords) -> list[str]:
    """Whether finalists reach half of their teachers, which are beaten, and where each student stands."""
    done = [finalist for finalist in run.finalists if finalist.reason is None]
    candidates = [finalist for finalist in done if finalist.role == "candidate"]
    baselines = [finalist for finalist in done if finalist.role == "baseline"]
    told = [*_halves(done), *_beaten(candidates, baselines)]
    told += [_verdict(finalist, baselines) for finalist in candidates]
    failed = [finalist for finalist in run.finalists if finalist.reason is not None]
    return told + [f"The longer training of {_name(one)} failed: {one.reason}." for one in failed]


def _halves(done: list[FinalistRecord]) -> list[str]:
    compared = [finalist for finalist in done if finalist.comparisons]
    if not compared:
        return []
    short = {
        _name(one): [f"{each.metric} ({each.share:.2f})" for each in one.comparisons if each.below_half]
        for one in compared
    }
    missing = "; ".join(f"{name} does not in {', '.join(metrics)}" for name, metrics in short.items() if metrics)
    reached = sum(not metrics for metrics in short.values())
    whole = f"{reached} of {counted(len(compared), 'finalist')} reach at least half of their teacher's score in every"
    pairs = [each for one in compared for each in one.comparisons]
    sure = sum(each.student.low >= each.teacher.high / 2 for each in pairs)
    above = sum(each.student.low > each.untrained.high for each in pairs)
    return [
        f"{whole} metric{': ' if missing else ''}{missing}. Beyond both intervals, half of the teacher's score is "
        f"reached in {sure} of {counted(len(pairs), 'comparison')}, and the untrained self's is passed in {above}."
    ]


def _beaten(candidates: list[FinalistRecord], baselines: list[FinalistRecord]) -> list[str]:
    if not candidates or not baselines:
        return []
    ahead = {_name(ours): [_name(theirs) for theirs in baselines if _beats(theirs, ours)] for ours in candidates}
    lost = [f"{name} by {' and '.join(rivals)}" for name, rivals in ahead.items() if rivals]
    names = f": {', '.join(lost)}" if lost else ""
    verb = "is" if len(lost) == 1 else "are"
    return [
        f"Of {counted(len(candidates), 'student')} trained longer, {len(lost)} {verb} beaten by a baseline "
        f"trained as long that is faster, beyond both intervals, with no higher loss{names}."
    ]


def _name(finalist: FinalistRecord) -> str:
    return called(finalist.role, finalist.number, finalist.name)


def _beats(theirs: FinalistRecord, ours: FinalistRecord) -> bool:
    return (
        theirs.score.steps == ours.score.steps
        and theirs.measurement.throughput.low > ours.measurement.throughput.high
        and theirs.score.loss <= ours.score.loss
    )


def _verdict(finalist: FinalistRecord, baselines: list[FinalistRecord]) -> str:
    ours = finalist.measurement.throughput
    trained = f"Trained for {counted(finalist.score.steps, 'step')}, #{finalist.number}"
    alike = [baseline for baseline in baselines if baseline.score.steps == finalist.score.steps]
    if not alike:
        return f"{trained} ({plus_minus(ours)} images/s) has no baseline trained as long to stand beside."
    baseline = min(alike, key=lambda other: abs(math.log(other.measurement.throughput.value / ours.value)))
    theirs = baseline.measurement.throughput
    if ours.overlaps(theirs):
        speed = "cannot be told apart in throughput from"
    else:
        speed = "is faster than" if ours.low > theirs.high else "is slower than"
    difference = finalist.score.loss - baseline.score.loss
    loss = "a lower" if difference < 0 else "a higher"
    if abs(difference) <= SEED_NOISE * baseline.score.loss:
        loss = "within the noise of first weights the same"
    return (
        f"{trained} ({plus_minus(ours)} images/s) {speed} the nearest baseline {_name(baseline)} ({plus_minus(theirs)} "
        f"images/s) and has {loss} validation loss ({number(finalist.score.loss, 4)} against "
        f"{number(baseline.score.loss, 4)}){_downstream(finalist, baseline)}."
    )


def _downstream(finalist: FinalistRecord, baseline: FinalistRecord) -> str:
    others = {comparison.metric: comparison.student for comparison in baseline.comparisons}
    pairs = [(one.student, others[one.metric]) for one in finalist.comparisons if one.metric in others]
    if not pairs:
        return ""
    above = sum(ours.low > theirs.high for ours, theirs in pairs)
    below = sum(ours.high < theirs.low for ours, theirs in pairs)
    return (
        f"; of {counted(len(pairs), 'downstream metric')} its interval lies above the baseline's in {above}, "
        f"below it in {below}, and overlaps it in {len(pairs) - above - below}"
    )
