"""The command line: verbs, each a thin call into the package."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from eradio.cli_study import FILE, STUDY_COMMANDS, console
from eradio.errors import EradioError, complain
from eradio.files import disk_error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="eradio")
def cli() -> None:
    """Search for the most hardware-efficient student of CLIP, DINOv2 and SAM at once."""


for command in STUDY_COMMANDS:
    cli.add_command(command)


@cli.command(epilog="Example: eradio profile e_radio_b timm/convnext_base --resolution 224 --batch 1")
@click.argument("networks", nargs=-1, required=True)
@click.option(
    "--engine", default="auto", show_default=True, help="auto, eager, inductor, onnxruntime, openvino or tensorrt."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, fp16, bf16 or int8.")
@click.option("--batch", "batches", default="8", show_default=True, help="Pictures a call; several as in 1,8,32.")
@click.option("--resolution", "sides", default="64", show_default=True, help="Pixels; several as in 224,384,512.")
@click.option("--threads", default=1, show_default=True, help="CPU threads of a call.")
@click.option("--window", help="Attention windows: fit (default for names), own (for files), or a side.")
@click.option("--protocol", default="standard", show_default=True, help="search, standard or final (10 minutes).")
@click.option("--calibration", type=FILE, help="A folder of pictures for int8 (default: the embedded scenes).")
@click.option("--only-throughput", is_flag=True, help="Leave out memory, latency, energy, shares and roofline.")
@click.option("--largest-batch", is_flag=True, help="Also try which batch still fits the memory.")
@click.option("--coverage", is_flag=True, help="Instead of measuring, say what TensorRT takes; needs no GPU.")
@click.option("--picture", type=FILE, help="Also draw it into this .png or .svg.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def profile(networks: tuple[str, ...], coverage: bool, picture: Path | None, as_json: bool, **options: Any) -> None:
    """Measure networks' throughput with its uncertainty, and why it is what it is.

    NETWORKS are E-RADIO names, timm/NAME, architecture files, trials (runs/default#12), folders of trials or
    finalists, official weights, ONNX files, teachers (shipped/clip, open_clip/ViT-H-14, sam/vit_h), or functions of
    your own (MODULE:FUNCTION). Several take turns in one run.
    """
    if picture is not None:
        from eradio.analysis.profile_figure import check_picture

        check_picture(picture)
    if coverage and picture is not None:
        raise EradioError("--coverage measures nothing that --picture could draw; leave one of them out.")
    if coverage:
        from eradio.profile.coverage.report import coverage_table
        from eradio.subjects.profiling import coverage_named

        answers = coverage_named(networks, **options)
        if as_json:
            click.echo(json.dumps([answer.model_dump(mode="json") for answer in answers], indent=2))
        for answer in answers if not as_json else ():
            console().print(coverage_table(answer))
        return
    from eradio.profile.table import tables
    from eradio.subjects.profiling import profile_named

    arguments = click.get_current_context().obj
    command, progress = shlex.join(["eradio", *arguments]), Console(stderr=True)
    found = profile_named(networks, command=command, console=progress, **options)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        for part in tables(found):
            console().print(part)
    if picture is not None:
        from eradio.analysis.profile_figure import draw_profile

        draw_profile(found, picture)


@cli.command(epilog="Example: eradio distill e_radio_mini --config quickstart")
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.option("--config", default="quickstart", show_default=True, help="A shipped recipe, or one of yours as YAML.")
@click.option("--data", type=FILE, help="A folder of your own pictures, instead of the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="Length, instead of the recipe's.")
@click.option("--start-from", "start", type=FILE, help="Folder of a student to begin with, as a next stage does.")
@click.option("--out", type=FILE, help="Run folder (default: runs/distill-NETWORK-RECIPE); of several, their parent.")
@click.option("--targets", "cache", type=FILE, help="Folder of cached targets, shared with other runs.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--micro-batch", type=click.IntRange(1), help="Pictures of one forward pass (default: all of a step's).")
@click.option("--checkpointing", is_flag=True, help="Compute activations twice instead of keeping them.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that make pictures ahead (default: 0).")
def distill(networks: tuple[str, ...], config: str, data: Path | None, steps: int | None, **options: Any) -> int:
    """Teach networks by a recipe; the same command goes on where it was stopped.

    NETWORK is a network's name, an architecture file, or the folder of a trial or finalist. Several are taught in
    lock-step, on one pass of the teachers. Several processes or machines for one network: torchrun --nproc-per-node 8
    -m eradio distill NETWORK ...
    """
    from eradio.distill.recipe import Recipe
    from eradio.distill.run import distil
    from eradio.distill.setting import setting_for
    from eradio.distill.stopping import StoppedError
    from eradio.export import export as write
    from eradio.export import find_trained
    from eradio.search_space import Architecture

    recipe = Recipe.named(config).changed(data=data, steps=steps)
    found = {
        folder: find_trained(name).network
        for name, folder in zip(networks, _run_folders(networks, config, options["out"]), strict=True)
    }
    first = os.environ.get("RANK", "0") == "0"
    shown = console() if first else Console(quiet=True)
    try:
        ends = distil(
            found,
            recipe,
            setting=setting_for(options["device"], options["micro_batch"], options["checkpointing"]),
            workers=options["workers"],
            start=options["start"],
            cache=options["cache"],
            console=shown,
            agree=_agreed,
        )
    except StoppedError as error:
        kept = f"step {error.step} is kept" if error.step else "what was done is kept"
        told = f"Asked to stop: {kept}. Run the same command again to go on."
        return _complain(told, 143) if first else 143
    status = 0
    for folder, outcome in ends.items():
        if isinstance(outcome, EradioError):
            status = _complain(f"{folder}: {outcome}", 1)
            continue
        for name, value in outcome.parts.items():
            shown.print(f"{name}: {value:.4f}", markup=False, highlight=False)
        if first and isinstance(found[folder], Architecture):
            write(find_trained(str(folder)), "timm", folder / "timm", recipe.partitions[0].resolution[0])
        told = f"Loss {outcome.loss:.4f} after {outcome.steps} steps; the student is in {folder}"
        shown.print(told, soft_wrap=True)
    return status


def _run_folders(networks: tuple[str, ...], config: str, out: Path | None) -> list[Path]:
    """Where each network's run goes.

    Raises:
        EradioError: two would go to the same folder.
    """
    names = [Path(network).stem for network in networks]
    if len(set(names)) < len(names):
        raise EradioError(f"Two of the networks are called the same ({', '.join(names)}). Teach them one by one.")
    if out is not None:
        return [out] if len(names) == 1 else [out / name for name in names]
    return [Path("runs") / f"distill-{name}-{Path(config).stem}" for name in names]


def _agreed(question: str) -> bool:
    """Ask, where somebody can answer."""
    return click.confirm(question) if sys.stdin.isatty() and sys.stdout.isatty() else True


@cli.command(epilog="Example: eradio targets runs/default/targets --keep 20")
@click.argument("folder", type=FILE)
@click.option("--keep", type=click.FloatRange(0), help="Remove what was not used lately, down to so many gigabytes.")
def targets(folder: Path, keep: float | None) -> None:
    """Show what a FOLDER of cached teacher targets holds, and make room in it.

    A run that needs what was removed computes it anew.
    """
    from eradio.distill.eviction import entries, entries_table, evict

    if keep is not None:
        for entry in evict(folder, round(keep * 1e9)):
            console().print(f"Removed {entry.folder} ({entry.size / 1e9:.3f} GB, {entry.what}).", soft_wrap=True)
    console().print(entries_table(entries(folder)))


@cli.command(epilog="Example: eradio probe runs/distill-e_radio_mini_s-quickstart --resolution 48,64,96,128")
@click.argument("run", type=FILE)
@click.option("--resolution", "sides", default="48,64,96,128", show_default=True, help="Pixels, several.")
@click.option("--pictures", type=click.IntRange(2), default=64, show_default=True, help="How many.")
@click.option("--out", type=FILE, help="Where to write (default: RUN/probe).")
def probe(run: Path, sides: str, pictures: int, out: Path | None) -> None:
    """Show how well a taught network stands in for each teacher, resolution by resolution.

    A student that is one teacher at low and another at high resolution (mode switching) shows as a line that falls.
    """
    from eradio.analysis.fidelity_figure import fidelity_table, write_fidelity
    from eradio.distill.probe import probe as hold

    try:
        wanted = sorted({int(one) for one in sides.split(",")})
    except ValueError:
        raise EradioError(f"--resolution must be pixels, such as 48,64,96, not '{sides}'.") from None
    shown = console()
    found = hold(run, wanted, pictures, shown)
    shown.print(fidelity_table(found))
    for file in write_fidelity(found, out or run / "probe"):
        shown.print(f"{file}", markup=False, soft_wrap=True)


@cli.command(epilog="Example: eradio export runs/default/finalists/candidate-0003 --to onnx --resolution 64")
@click.argument("checkpoint")
@click.option("--to", required=True, help="onnx, torch (a torch.export program), timm, or hf.")
@click.option("--resolution", default=224, show_default=True, help="Side of the pictures, in pixels.")
@click.option("--window", help="Attention windows: own (default for trained ones), fit (for others), or a side.")
@click.option("--out", type=FILE, default=Path("exported"), show_default=True, help="Folder to write into.")
def export(checkpoint: str, to: str, resolution: int, window: str | None, out: Path) -> None:
    """Write a network for other programs.

    CHECKPOINT is the folder of a trial or finalist, a file of official weights, or a network's name (random weights).
    """
    from eradio.export import export as write
    from eradio.export import find_trained

    trained = find_trained(checkpoint)
    files, windows = write(trained, to, out, resolution, window)
    for file in files:
        console().print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)", markup=False, soft_wrap=True)
    told = f"Weights: {trained.source}." + (f" Windows: {windows}." if windows else "")
    console().print(told, markup=False, soft_wrap=True)


@cli.group(epilog="Example: eradio space count wide")
def space() -> None:
    """Search spaces: what they offer, how large they are, members of them, diagrams."""


@space.command("show", epilog="Example: eradio space show tiny")
@click.argument("name", required=False)
def space_show(name: str | None) -> None:
    """Show the shipped spaces, or the choices of one (a NAME, or a YAML file)."""
    from eradio.search_space.listing import choices_table, spaces_table

    console().print(spaces_table() if name is None else choices_table(name))


@space.command("count", epilog="Example: eradio space count wide")
@click.argument("name")
def space_count(name: str) -> None:
    """Count the distinct architectures of a space, exactly."""
    from eradio.search_space import SearchSpace

    click.echo(f"{SearchSpace.named(name).count():,}")


@space.command("sample", epilog="Example: eradio space sample wide --count 5 --seed 1")
@click.argument("name")
@click.option("--count", default=5, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same members.")
@click.option("--out", type=FILE, help="Also write each as a file that every command takes for a network.")
def space_sample(name: str, count: int, seed: int, out: Path | None) -> None:
    """Draw members of a space."""
    from eradio.search_space.listing import write_members

    for line in write_members(name, count, seed, out):
        click.echo(line)


@space.command("describe", epilog="Example: eradio space describe e_radio_b --svg e_radio_b.svg")
@click.argument("network")
@click.option("--resolution", default=224, show_default=True, help="Side of the pictures, in pixels.")
@click.option("--svg", type=FILE, help="Also draw it into this file.")
def space_describe(network: str, resolution: int, svg: Path | None) -> None:
    """Draw one architecture (a name, or a file) as a block diagram."""
    from eradio.search_space.listing import draw

    click.echo(draw(network, resolution, svg))


@cli.group(epilog="Example: eradio teachers list")
def teachers() -> None:
    """The shipped teachers: list them, or train them anew."""


@teachers.command("list", epilog="Example: eradio teachers list")
def teachers_list() -> None:
    """List the shipped teachers with their held-out scores."""
    from eradio.pretrain.listing import cards_table

    console().print(cards_table())


@teachers.command("train", epilog="Example: eradio teachers train clip --minutes 3 --out my-teachers")
@click.argument("kind")
@click.option("--minutes", default=45.0, show_default=True, help="Training time; an interrupted training goes on.")
@click.option("--out", type=FILE, default=Path("teachers"), show_default=True, help="Folder for weights and card.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights and data order.")
def teachers_train(kind: str, minutes: float, out: Path, seed: int) -> None:
    """Train one of the small teachers (KIND: clip, dino or sam) on the embedded scenes."""
    from eradio.pretrain import train

    train(kind, out / kind, minutes=minutes, seed=seed)
    console().print(f"The {kind} teacher and its model card are in {out / kind}.", markup=False, soft_wrap=True)


def main() -> None:
    """Entry point: an error the user can mend is one line on stderr and a non-zero status."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        status = cli.main(args=arguments, prog_name="eradio", standalone_mode=False, obj=arguments)
    except EradioError as error:
        return _complain(str(error), 1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 2
    except click.ClickException as error:
        return _complain(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _complain("Stopped. Run the same command again to go on.", 130)
    except OSError as error:
        return _complain(str(disk_error(error, Path(error.filename or "."))), 1)
    return status if isinstance(status, int) else 0


def _complain(text: str, status: int) -> int:
    complain(text)
    return status
