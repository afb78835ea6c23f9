"""The page a study leaves behind: one HTML file that opens anywhere, its figures and its tables."""

from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eradio.analysis.curves import curves
from eradio.analysis.figures import pareto
from eradio.analysis.numbers import counted, lasting, number, plus_minus
from eradio.analysis.outcome import outcome
from eradio.analysis.points import Point, front_of, plain, points
from eradio.analysis.style import drawn, inline, saver
from eradio.analysis.tables import finalists_frame, front_cells, front_frame, millions, trials_frame
from eradio.analysis.verdicts import verdicts
from eradio.files import write_atomically
from eradio.study.records import StudyRecords, TrialRecord

MOST_ROWS = 1000
"""Trials in one list of the page, which a browser would else take minutes to lay out; the CSV files have all."""


def write_report(run: StudyRecords, folder: Path) -> Path:
    """Write report.html, pareto.png, pareto.svg, curves.svg, trials.csv, front.csv and finalists.csv, each
    atomically.

    Args:
        run: a finished or unfinished study.
        folder: created where it is missing; files of an earlier report are replaced.

    Returns:
        The path of report.html, which is written last.

    Raises:
        EradioError: the folder cannot be written, or the disk is full.
    """
    chart = drawn(partial(pareto, run), "svg")
    learning = drawn(partial(curves, run), "svg")
    contents = {
        "pareto.png": drawn(partial(pareto, run), "png"),
        "pareto.svg": chart,
        "curves.svg": learning,
        "trials.csv": _csv(trials_frame(run)),
        "front.csv": _csv(front_frame(run)),
        "finalists.csv": _csv(finalists_frame(run)),
        "report.html": page(run, chart, learning).encode("utf-8", errors="replace"),
    }
    for name, content in contents.items():
        write_atomically(folder / name, saver(content))
    return folder / "report.html"


def page(run: StudyRecords, chart: bytes, learning: bytes) -> str:
    """The report as one HTML document: no script, no address to fetch, all text escaped.

    Args:
        run: the study's records.
        chart: the Pareto chart, as an SVG file.
        learning: the loss curves, as an SVG file.
    """
    surroundings = Environment(
        loader=PackageLoader("eradio.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    surroundings.filters |= {
        "counted": counted,
        "number": number,
        "plus_minus": plus_minus,
        "lasting": lasting,
        "plain": plain,
        "millions": millions,
    }
    some = points(run, "candidate")
    trials = {(trial.role, trial.number): trial for trial in run.trials}
    rivals = {point.number for point in front_of(points(run, "baseline"))}
    return surroundings.get_template("report.html").render(
        run=run,
        candidates=len(some),
        sentences=outcome(run),
        verdicts=verdicts(run),
        # Our own figures; every text in them was escaped when they were drawn.
        chart=Markup(inline(chart, "chart")),
        curves=Markup(inline(learning, "curves")),
        front=[_entry(trials[point.role, point.number], point) for point in front_of(some)],
        baselines=[(trial, trial.number in rivals) for trial in run.trials if trial.role == "baseline"],
        searched=[trial for trial in run.trials if trial.role == "candidate"],
        most=MOST_ROWS,
        failed=[trial for trial in run.trials if trial.state == "failed"],
        config=yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
        facts=_facts(run),
    )


def _entry(trial: TrialRecord, point: Point) -> dict[str, Any]:
    return {
        "cells": front_cells(point),
        "family": point.family,
        "parts": trial.score.parts if trial.score else {},
        "digest": trial.network_digest,
        "network": yaml.safe_dump(trial.network, sort_keys=False, default_flow_style=None, width=100),
    }


def _facts(run: StudyRecords) -> list[tuple[str, str]]:
    """Environment and digests as pairs, nested names joined by a point."""
    measured = next((trial.measurement for trial in run.trials if trial.measurement), None)
    target = measured.target.model_dump(mode="json") if measured else {}
    reused = sum(trial.measurement.reused for trial in run.trials if trial.measurement)
    target |= {"throughputs from other studies on this machine": reused} if reused else {}
    whole = {"target": target, "environment": run.environment, "digest": run.digests}
    return [(name.removeprefix("environment."), text) for name, text in _flat("", whole)]


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(f"{name}.{key}".lstrip("."), part)]
    return [(name, "–" if value is None else str(value))]


def _csv(frame: pd.DataFrame) -> bytes:
    text = StringIO()
    frame.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode("utf-8", errors="replace")
