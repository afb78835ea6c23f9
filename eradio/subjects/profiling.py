"""From the command line's words to a profile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eradio.errors import EradioError
from eradio.profile import Profile, Target, profile_command, protocol_named
from eradio.profile.auto import choose
from eradio.profile.coverage.command import coverage_command
from eradio.profile.coverage.report import Coverage
from eradio.profile.memory import Footprint, LargestBatch
from eradio.profile.memory import largest_batch as find_largest
from eradio.profile.subject import Subject
from eradio.profile.target import MOST_PICTURES
from eradio.subjects.find import find
from eradio.subjects.footprint import footprint
from eradio.subjects.pictures import calibration_for

_NOTHING = (None, False)
"""Options that were not given."""


def profile_named(
    names: Sequence[str],
    *,
    command: str,
    protocol: str,
    window: str | None,
    calibration: Path | None,
    only_throughput: bool,
    largest_batch: bool,
    console: Console,
    **options: Any,
) -> Profile:
    """Measure networks by what a user calls them.

    Args:
        names: as `find` takes them.
        command: what repeats this.
        protocol: search, standard or final.
        window: as `find` takes it.
        calibration: a folder of pictures for int8; the embedded scenes if None.
        only_throughput: leave out everything else.
        largest_batch: try which batch still fits the memory.
        console: where progress is shown, if it is a terminal.
        options: engine, device, precision, batches, sides and threads; see `targets_of`.

    Raises:
        EradioError: an option is wrong, a network is not found, or could not be measured.
    """
    files = any(name.endswith(".onnx") for name in names)
    targets, reason = targets_of(protocol=protocol, files=files, **options)
    words: dict[str, str] = {}

    def found(side: int) -> list[Subject]:
        subjects = [find(name, side, window) for name in names]
        words.update({subject.name: name for subject, name in zip(subjects, names, strict=True)})
        return subjects

    def alone(name: str, target: Target) -> Footprint:
        return footprint(words[name], target, window, calibration)

    def largest(name: str, target: Target) -> LargestBatch:
        return find_largest(
            lambda batch: alone(name, target.model_copy(update={"batch": batch})).outcome, MOST_PICTURES
        )

    with _progress(console) as watch:
        return profile_command(
            found,
            targets,
            command=command,
            choice=reason,
            why=not only_throughput,
            alone=alone,
            largest=largest if largest_batch else None,
            calibration=partial(calibration_for, folder=calibration),
            calibrated_on=str(calibration) if calibration else "the embedded scenes",
            watch=watch,
        )


def coverage_named(
    names: Sequence[str], *, window: str | None, batches: str, sides: str, engine: str, precision: str, **others: Any
) -> list[Coverage]:
    """Ask what TensorRT would take of networks, for each resolution and batch; see `coverage`.

    Raises:
        EradioError: an option is not one of a coverage, a network is not found, or TensorRT-RTX is not installed.
    """
    usual = {"engine": ("auto", "tensorrt"), "precision": ("fp32",), "device": ("auto", "cuda"), "threads": (1,)}
    usual |= {"protocol": ("standard",)}
    given = {"engine": engine, "precision": precision, **others}
    asked = [f"--{name.replace('_', '-')}" for name, value in given.items() if value not in usual.get(name, _NOTHING)]
    if asked:
        raise EradioError(
            "--coverage asks TensorRT for its operators, of the network in fp32, and runs nothing; leave "
            f"{', '.join(asked)} out."
        )
    pairs = product(_numbers(sides, "--resolution"), _numbers(batches, "--batch"))
    wanted = [{"engine": "eager", "resolution": side, "batch": batch} for side, batch in pairs]
    targets = [Target.parse(one, "The command line") for one in wanted]
    return [coverage_command(find(name, one.resolution, window), one) for one in targets for name in names]


def targets_of(
    *,
    engine: str,
    device: str,
    precision: str,
    batches: str,
    sides: str,
    threads: int,
    protocol: str = "standard",
    files: bool = False,
) -> tuple[list[Target], str]:
    """One target a batch and resolution, and why this engine and device if either was `auto`.

    Raises:
        EradioError: an option is wrong, or no installed engine offers the precision.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise EradioError(f"--device must be auto, cpu or cuda, not '{device}'.")
    if precision not in ("fp32", "fp16", "bf16", "int8"):
        raise EradioError(f"--precision must be fp32, fp16, bf16 or int8, not '{precision}'.")
    choice = choose(engine, device, precision, files=files)  # type: ignore[arg-type]
    common = {"engine": choice.engine, "device": choice.device, "precision": precision, "threads": threads}
    common["protocol"] = protocol_named(protocol).model_dump()
    pairs = product(_numbers(sides, "--resolution"), _numbers(batches, "--batch"))
    where = "The command line"
    return [Target.parse({**common, "resolution": side, "batch": batch}, where) for side, batch in pairs], choice.reason


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise EradioError(f"{option} must be a number or several with commas, as in 1,8,32, not '{text}'.") from None


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, float], None]]:
    """One bar for what is being done, with the time it has left; it leaves nothing behind."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=1.0)
        doing = ""

        def watch(what: str, share: float) -> None:
            nonlocal doing
            if what != doing:
                doing = what
                progress.reset(task, description=what)
            progress.update(task, completed=share)

        yield watch
