"""The study's tables: the front for the terminal, and every trial and finalist as flat rows."""

import pandas as pd
from rich.table import Table
from rich.text import Text

from eradio.analysis.numbers import number, plus_minus
from eradio.analysis.points import Point, family, front_of, points
from eradio.interval import Interval
from eradio.study.records import FinalistRecord, Role, StudyRecords, TrialRecord


def front_table(run: StudyRecords) -> Table:
    """The searched front from the fastest to the slowest, for a terminal of 100 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold", width=100)
    table.add_column("trial", no_wrap=True)
    table.add_column("images/s", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("GMACs", justify="right", no_wrap=True)
    table.add_column("network", overflow="fold")
    for point in front_of(points(run, "candidate")):
        table.add_row(*(Text(cell) for cell in front_cells(point)))
    return table


def front_cells(point: Point) -> tuple[str, ...]:
    """Label, images/s, loss, parameters, GMACs and words of one network, as text."""
    unsettled = " unsettled" if point.measurement.verdict == "unsettled" else ""
    return (
        point.label,
        plus_minus(point.throughput) + unsettled,
        f"{point.loss:.4f}",
        millions(point.measurement.parameters),
        "-" if point.measurement.gmacs is None else number(point.measurement.gmacs),
        point.words,
    )


def millions(parameters: int) -> str:
    """A parameter count in millions."""
    return f"{number(parameters / 1e6)} M"


def trials_frame(run: StudyRecords) -> pd.DataFrame:
    """One row a trial, also failed ones and duplicates; `on_front` is the front of its own role."""
    edges = {(point.role, point.number) for role in _ROLES for point in front_of(points(run, role))}
    return _frame([_row(trial) | {"on_front": (trial.role, trial.number) in edges} for trial in run.trials])


def front_frame(run: StudyRecords) -> pd.DataFrame:
    """The rows of the searched front, from the fastest to the slowest."""
    edge = {point.number for point in front_of(points(run, "candidate"))}
    some = [trial for trial in run.trials if trial.role == "candidate" and trial.number in edge]
    frame = _frame([_row(trial) for trial in some])
    return frame.sort_values("images_per_second", ascending=False) if len(frame) else frame


def finalists_frame(run: StudyRecords) -> pd.DataFrame:
    """One row for each finalist and metric: teacher, student, untrained, and student over teacher."""
    return pd.DataFrame([row for finalist in run.finalists for row in _comparisons(finalist)])


def _frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=None if rows else ["role", "number", "name"]).convert_dtypes()


_ROLES: tuple[Role, ...] = ("candidate", "baseline")


def _row(trial: TrialRecord) -> dict[str, object]:
    row: dict[str, object] = {
        "role": trial.role,
        "number": trial.number,
        "name": trial.name,
        "family": family(trial),
        "state": trial.state,
        "end": trial.end,
        "reason": trial.reason,
        "duplicate_of": trial.duplicate_of,
        "attempt": trial.attempt,
        "inherited": trial.inherited,
        "seconds": trial.seconds,
    }
    if trial.measurement is not None:
        target = trial.measurement.target
        row |= _ends("images_per_second", trial.measurement.throughput)
        row |= _ends("canary_ratio", trial.measurement.ratio)
        row |= {
            "verdict": trial.measurement.verdict,
            "latency_ms": trial.measurement.latency_ms,
            "parameters": trial.measurement.parameters,
            "gmacs": trial.measurement.gmacs,
            "activations": trial.measurement.activations,
            "engine": target.engine,
            "precision": target.precision,
            "batch": target.batch,
            "resolution": target.resolution,
            "threads": target.threads,
            "measured_at": trial.measurement.made_at,
            "measured_elsewhere": trial.measurement.reused,
        }
    if trial.score is not None:
        row |= {"steps": trial.score.steps, "loss": trial.score.loss}
        row |= {f"loss at {score.steps}": score.loss for score in trial.rungs}
        row |= {f"loss {head}": value for head, value in trial.score.parts.items()}
    return row | {"words": trial.words, "digest": trial.network_digest}


def _comparisons(finalist: FinalistRecord) -> list[dict[str, object]]:
    return [
        {
            "role": finalist.role,
            "number": finalist.number,
            "name": finalist.name,
            "metric": one.metric,
            **_ends("teacher", one.teacher),
            **_ends("student", one.student),
            **_ends("untrained", one.untrained),
            "ratio": one.share,
        }
        for one in finalist.comparisons
    ]


def _ends(name: str, interval: Interval) -> dict[str, object]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
