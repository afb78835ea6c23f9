"""A study's standing as tables that fit a terminal."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eradio.study.config import StudyConfig
from eradio.study.standing import FrontPoint, Standing, Worker

_MOST_ROWS = 20


def standing_tables(config: StudyConfig, found: Standing, where: str, now: datetime) -> Group:
    """What `eradio status` prints.

    Args:
        config: of the study.
        found: how it stands.
        where: its storage, without secrets.
        now: the time, by the clock that the trials' times are of.
    """
    return Group(*_parts(config, found, where, now))


def _parts(config: StudyConfig, found: Standing, where: str, now: datetime) -> Iterator[RenderableType]:
    yield Text(f"Study {config.name} in {where}")
    yield Text(f"{_progress(found)}. {_ends(found)}", style="bold")
    for sentence in _notes(found):
        yield Text(sentence)
    if found.workers:
        yield _workers(found.workers, now)
    if len(found.rungs) > 1:
        yield _rungs(found)
    for target, front in zip(config.targets, found.fronts, strict=True):
        if front:
            yield _front(front, f"{target.engine}, {target.device}" if len(found.fronts) > 1 else "")


def _progress(found: Standing) -> str:
    rate = "" if found.per_hour is None else f", {found.per_hour:.3g} an hour"
    left = "" if found.left is None or not found.left else f", about {_lasting(found.left)} left"
    return f"{found.taken} of {found.asked} candidates begun{rate}{left}, {found.device_hours:.2f} device hours"


def _ends(found: Standing) -> str:
    if not found.ends:
        return "None has ended."
    return f"Ended: {_counted(found.ends)}."


def _counted(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {end}" for end, count in ends.most_common())


def _notes(found: Standing) -> Iterator[str]:
    if found.again:
        yield f"Attempts that were not their candidate's last: {_counted(found.again)}."
    if found.others:
        counts = (f"{one.ended} of {one.known} {one.name}" for one in found.others)
        yield f"Beside them {' and '.join(counts)} have ended."
    if found.finished:
        yield f"{'Nothing' if found.late else 'No candidate'} is begun any more: {found.finished}."
    if found.stop == "drain":
        yield "Workers were asked to end after the trials that they hold; a search or launch takes that back."
    if found.stop == "now":
        yield "Workers were asked to end at once; a search or launch takes that back."


def _workers(workers: tuple[Worker, ...], now: datetime) -> Table:
    table = Table("worker", "trial", "attempt", "step", "for", title=f"{len(workers)} trials under way", box=None)
    for one in workers[:_MOST_ROWS]:
        since = "" if one.since is None else _lasting(now - one.since)
        table.add_row(one.name, one.trial, str(one.attempt), str(one.step), since)
    if len(workers) > _MOST_ROWS:
        table.add_row(f"and {len(workers) - _MOST_ROWS} more", "", "", "", "")
    return table


def _rungs(found: Standing) -> Table:
    table = Table("rung", "reached", "went on", title="rungs", box=None)
    for rung in found.rungs:
        last = rung is found.rungs[-1]
        table.add_row(f"{rung.steps} steps", str(rung.reached), "complete" if last else str(rung.going))
    return table


def _front(front: tuple[FrontPoint, ...], target: str) -> Table:
    title = f"front of {len(front)}" + (f" on {target}" if target else "")
    table = Table("trial", "images/s", "loss", "network", title=title, box=None)
    for point in front[:_MOST_ROWS]:
        table.add_row(f"#{point.trial}", f"{point.throughput:,.0f}", f"{point.loss:.4f}", Text(point.words))
    if len(front) > _MOST_ROWS:
        table.add_row("", "", "", f"and {len(front) - _MOST_ROWS} more")
    return table


def _lasting(time: timedelta) -> str:
    minutes, seconds = divmod(max(0, round(time.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
