"""The verbs of a study: run it here or on a cluster, look at it, stop it, report it."""

import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from eradio.collecting import uncollected
from eradio.errors import EradioError, PassingError, StorageDownError, complain

if TYPE_CHECKING:
    from eradio.study.config import StudyConfig
    from eradio.study.run import Run

FILE = click.Path(path_type=Path)

_config = click.option("--config", type=FILE, help="A study as YAML (default: the embedded study).")
_out = click.option("--out", type=FILE, help="Run folder (default: runs/NAME).")
_storage = click.option("--storage", help="URL of the trials' storage, without a password; instead of the study's own.")
_name = click.option("--study-name", help="Name of the study, also of one that `optuna create-study` made.")


def console() -> Console:
    """Standard output; a file or a pipe gets lines as wide as the tables are made for."""
    return Console() if sys.stdout.isatty() else Console(width=120)


@click.command(epilog="Example: eradio search --data ~/pictures --trials 8")
@_config
@click.option("--data", type=FILE, help="A folder of your own pictures to distil on.")
@click.option("--trials", type=int, help="Distinct candidates to complete.")
@_out
@click.option("--workers", type=int, help="Worker processes (default: one a GPU, or a core).")
@_storage
@_name
def search(
    config: Path | None,
    data: Path | None,
    trials: int | None,
    out: Path | None,
    workers: int | None,
    storage: str | None,
    study_name: str | None,
) -> None:
    """Run a study here, or continue it, and report its Pareto front.

    The same command on another machine, with the same storage and run folder, joins it.
    """
    import torch

    from eradio.study.search import search as run_search

    study = _study(config, storage, study_name, data=data, trials=trials)
    count = (torch.cuda.device_count() or len(os.sched_getaffinity(0))) if workers is None else workers
    if count < 1:
        raise EradioError(f"--workers must be at least 1, not {count}.")
    folder = out or Path("runs") / study.name
    run_search(folder, study, count, console())
    _report(folder, folder / "report")


@click.command(epilog="Example: eradio report runs/default")
@click.argument("run", type=FILE)
@click.option("--out", type=FILE, help="Where to write (default: RUN/report).")
def report(run: Path, out: Path | None) -> None:
    """Write the HTML page, figures and tables of a search, finished or not."""
    _report(run, out or run / "report")


@click.command(epilog="Example: eradio worker --config study.yaml --out /shared/runs/study")
@_config
@_out
@_storage
@_name
def worker(config: Path | None, out: Path | None, storage: str | None, study_name: str | None) -> int:
    """Be one worker of a study, until it is complete; any launcher may start any number of these.

    Ends with 0 when nothing is left to do, 1 when somebody must mend something, 75 when something may pass by itself,
    and 143 when it was asked to stop (SIGTERM, SIGUSR2) and has handed back what it held.
    """
    from eradio.study.restarts import PASSING
    from eradio.study.worker import worker as be_worker

    study = _study(config, storage, study_name)
    try:
        return be_worker(out or Path("runs") / study.name, study, console())
    except PassingError as error:
        complain(str(error))
        return PASSING


@click.command(epilog="Example: eradio launch slurm --config study.yaml --workers 16 --gpus 1 --minutes 720 --dry-run")
@click.argument("launcher")
@_config
@_out
@_storage
@_name
@click.option("--workers", type=click.IntRange(1), required=True, help="How many.")
@click.option("--gpus", type=click.IntRange(0), default=0, show_default=True, help="Of each worker.")
@click.option("--cpus", type=click.IntRange(1), default=1, show_default=True, help="Of each worker.")
@click.option("--memory", type=click.IntRange(1), help="Megabytes of each worker.")
@click.option("--minutes", type=click.IntRange(1), help="Time limit of each worker.")
@click.option("--partition", help="Slurm's partition.")
@click.option("--account", help="Slurm's account.")
@click.option("--option", "options", multiple=True, help="One more for the launcher's own tool, as it spells it.")
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
def launch(
    launcher: str,
    config: Path | None,
    out: Path | None,
    storage: str | None,
    study_name: str | None,
    workers: int,
    memory: int | None,
    options: tuple[str, ...],
    dry_run: bool,
    **resources: str | int | None,
) -> None:
    """Start workers of a study and leave them to it.

    LAUNCHER is local, slurm or kubernetes.
    """
    from eradio.study.config import DEFAULT
    from eradio.study.launching import launch as start

    study = _study(config, storage, study_name)
    plain = {**resources, "memory_mb": memory, "options": options}
    folder = out or Path("runs") / study.name
    given = {"--storage": storage, "--study-name": study_name}
    overrides = [word for name, value in given.items() if value is not None for word in (name, value)]
    click.echo(
        start(
            launcher,
            study,
            config or DEFAULT,
            folder,
            workers,
            plain,
            overrides=overrides,
            dry_run=dry_run,
            console=console(),
        )
    )


@click.command(epilog="Example: eradio status runs/default")
@click.argument("study", type=FILE)
@_out
@_storage
@_name
@uncollected(to_the_end=True)
def status(study: Path, out: Path | None, storage: str | None, study_name: str | None) -> None:
    """Show a study's workers, rungs, front, rate and how long the rest may take.

    STUDY is a run folder, or a study's file; the options go with a file.
    """
    from eradio.study.launching import launched_table
    from eradio.study.standing import standing
    from eradio.study.standing_table import standing_tables

    run = _begun(study, out, storage, study_name)
    now = datetime.now()
    found = standing(run.config, run.trials(), run.ledger.began, now, run.ledger.asked_to_stop())
    console().print(standing_tables(run.config, found, str(run.address), now))
    console().print(launched_table(run.folder))


@click.command(epilog="Example: eradio stop runs/default")
@click.argument("study", type=FILE)
@_out
@_storage
@_name
@click.option("--now", is_flag=True, help="Not even the trials under way: they keep a checkpoint and wait.")
def stop(study: Path, out: Path | None, storage: str | None, study_name: str | None, now: bool) -> None:
    """Have a study's workers end: after the trials that they hold, or with --now at once.

    STUDY is a run folder, or a study's file; the options go with a file. The next search or launch goes on.
    """
    from eradio.study.launching import stop as end

    run = _begun(study, out, storage, study_name)
    for sentence in end(run, now=now):
        click.echo(sentence)


def _study(
    config: Path | None,
    storage: str | None,
    name: str | None,
    *,
    data: Path | None = None,
    trials: int | None = None,
) -> "StudyConfig":
    """A study's file with the command line's own."""
    from eradio.study.address import VARIABLE, refuse_password
    from eradio.study.config import DEFAULT, read_config

    if storage is not None:
        if not storage.strip():
            raise EradioError("--storage is empty. Give an address, or leave it out for a file in the run folder.")
        refuse_password(storage)
        if (os.environ.get(VARIABLE, "").strip() or storage) != storage:
            raise EradioError(f"--storage and {VARIABLE} differ. Leave one of them out.")
    return read_config(config or DEFAULT, data=data, trials=trials, storage=storage, name=name)


def _begun(study: Path, out: Path | None, storage: str | None, name: str | None) -> "Run":
    """The run of a folder, or of a study's file, whose study is there."""
    from eradio.study.launchers.records import launches
    from eradio.study.run import open_run
    from eradio.study.storage import refuse_missing

    if study.is_dir():
        if (out, storage, name) != (None, None, None):
            raise EradioError(f"{study} is a run folder, which knows its study. Leave out the options, or give a file.")
        run = open_run(study)
    else:
        config = _study(study, storage, name)
        run = open_run(out or Path("runs") / config.name, config)
    if not launches(run.folder):  # whose workers may have begun nothing yet, or be left over
        with suppress(StorageDownError):  # all else says so itself
            refuse_missing(run.address, run.config.name)
    return run


@uncollected(to_the_end=True)
def _report(run: Path, out: Path) -> None:
    from eradio.analysis.outcome import outcome
    from eradio.analysis.report import write_report
    from eradio.analysis.tables import front_table
    from eradio.analysis.verdicts import verdicts
    from eradio.study.reading import read_study

    whole, shown = read_study(run), console()
    targets = [whole.config["target"], *whole.config["also_on"]]
    for number, target in enumerate(targets):
        records = whole.on(number)
        if len(targets) > 1:
            shown.print(f"\nOn {target['engine']} ({target['device']}, {target['precision']}):", highlight=False)
        page = write_report(records, out / f"target-{number + 1}" if number else out)
        shown.print(front_table(records))
        for sentence in [*outcome(records), *verdicts(records)]:
            shown.print(sentence, markup=False, highlight=False)
        shown.print(f"Report: {page}", markup=False, soft_wrap=True)


STUDY_COMMANDS = (search, report, worker, launch, status, stop)
