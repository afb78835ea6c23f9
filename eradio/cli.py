"""The command line: verbs, each a thin call into the package."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console

from eradio.errors import EradioError
from eradio.files import disk_error

app = typer.Typer(
    help="Search for the most hardware-efficient student of CLIP, DINOv2 and SAM at once.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
teachers_app = typer.Typer(
    help="The shipped teachers: list them, or train them anew.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(teachers_app, name="teachers")

Out = Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/NAME).")]


@app.command(epilog="Example: eradio search --data ~/pictures --trials 8")
def search(
    config: Annotated[Path | None, typer.Option(help="A study as YAML (default: the embedded study).")] = None,
    data: Annotated[Path | None, typer.Option(help="A folder of your own pictures to distil on.")] = None,
    trials: Annotated[int | None, typer.Option(help="Distinct candidates to complete.")] = None,
    out: Out = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")] = None,
) -> None:
    """Search: run a study, or continue it, and report its Pareto front."""
    from eradio.analysis import front_table, outcome_sentence, write_report
    from eradio.study.config import DEFAULT, read_config
    from eradio.study.search import search as run_search

    console = Console()
    study = read_config(config or DEFAULT, data=data, trials=trials)
    folder = out or Path("runs") / study.name
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if count < 1:
        raise EradioError(f"--workers must be at least 1, not {count}.")
    records = run_search(folder, study, count, console)
    page = write_report(records, folder / "report")
    console.print(front_table(records))
    console.print(outcome_sentence(records), markup=False)
    console.print(f"Report: {page}", markup=False, soft_wrap=True)


@app.command(epilog="Example: eradio report runs/default")
def report(
    run: Annotated[Path, typer.Argument(help="The run folder of a search, finished or not.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write (default: RUN/report).")] = None,
) -> None:
    """Report: write a study's HTML page, figures and tables."""
    from eradio.analysis import front_table, write_report
    from eradio.study.search import read_study

    records = read_study(run)
    page = write_report(records, out or run / "report")
    console = Console()
    console.print(front_table(records))
    console.print(f"Report: {page}", markup=False, soft_wrap=True)


@app.command(epilog="Example: eradio profile e_radio_b --resolution 224 --batch 1")
def profile(
    network: Annotated[str, typer.Argument(help="An architecture file, an E-RADIO name, or timm/NAME.")],
    engine: Annotated[str, typer.Option(help="openvino or eager.")] = "openvino",
    batch: Annotated[int, typer.Option(help="Pictures a call.")] = 8,
    resolution: Annotated[int, typer.Option(help="Side of the pictures, in pixels.")] = 64,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Profile: measure one network's throughput with its uncertainty, and what it costs."""
    from eradio.profile import Target, as_json, profile_command, table

    target = Target.parse({"engine": engine, "batch": batch, "resolution": resolution}, "The command line")
    measurements = {network: profile_command(network, target)}
    if json:
        typer.echo(as_json(measurements))
    else:
        Console().print(table(measurements))


@teachers_app.command("list", epilog="Example: eradio teachers list")
def teachers_list() -> None:
    """List the shipped teachers with their held-out scores."""
    from eradio.pretrain import cards_table

    Console().print(cards_table())


@teachers_app.command("train", epilog="Example: eradio teachers train clip --minutes 3 --out my-teachers")
def teachers_train(
    kind: Annotated[str, typer.Argument(help="clip, dino or sam.")],
    minutes: Annotated[float, typer.Option(help="Training time; an interrupted training goes on.")] = 45.0,
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints, weights and card.")] = Path("teachers"),
    seed: Annotated[int, typer.Option(help="Seed of weights and data order.")] = 0,
) -> None:
    """Train one of the small teachers on the embedded scenes."""
    from eradio.pretrain import train

    train(kind, out / kind, minutes=minutes, seed=seed)


def main() -> None:
    """Entry point: an error the user can mend is one line on stderr and a non-zero status."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        result: Any = app(args=arguments, prog_name="eradio", standalone_mode=False)
        return int(result or 0)
    except EradioError as error:
        return _complain(str(error), 1)
    except click.ClickException as error:
        return _complain(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _complain("Stopped. Run the same command again to go on.", 130)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        return _complain(str(disk_error(error, Path(error.filename or "."))), 1)


def _complain(text: str, status: int) -> int:
    print(f"eradio: {text}", file=sys.stderr)
    return status
