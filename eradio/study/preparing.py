"""What is settled once for a study, by whichever worker comes first; all others find it settled."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from rich.console import Console

from eradio.distill.choice import Choice, choose
from eradio.distill.readable import Readable
from eradio.errors import EradioError
from eradio.files import read_json, sweep, write_json
from eradio.locks import locked
from eradio.profile import calibrate
from eradio.search_space import Architecture, Network, SearchSpace, named, parse_network
from eradio.study.address import study_address
from eradio.study.config import StudyConfig
from eradio.study.preflight import preflight
from eradio.study.reading import read_study
from eradio.study.records import on_a_front
from eradio.study.run import Run, open_run
from eradio.study.storage import objectives


def look_before(run: Run, workers: int, console: Console) -> None:
    """Say what is wrong with a study's storage and folder, before anything starts.

    Raises:
        EradioError: the study cannot be kept there.
    """
    config = run.config
    for warning in preflight(run.address, config.name, run.folder, workers, objectives(config.targets)):
        console.print(warning, markup=False)


def prepare(run: Run, console: Console) -> None:
    """Check what can be checked before anything is paid for, and settle where targets come from and what comes first.

    Raises:
        EradioError: the study is made of something that is missing, or has changed.
    """
    digests = run.check()
    for data in run.data:
        if isinstance(data, Readable) and data.unreadable():
            console.print(
                f"{len(data.unreadable())} of {len(data)} files cannot be read and are replaced: "
                f"{listed(data.unreadable())}",
                markup=False,
            )
    with locked(run.folder / "prepare.lock"):
        run.begin(digests)
        sweep(run.folder)
        path = run.folder / "targets.json"
        if not path.exists():
            write_json(path, asdict(_choice(run)))
        first = run.folder / "first.json"
        if not first.exists():  # an earlier study may have gone on, or be gone, when the next worker comes
            write_json(first, [network.model_dump(mode="json") for network in _first(run.config, run.space)])
        run.ledger.enqueue([parse_network(plain, str(first)) for plain in read_json(first)])
    run.rest()
    console.print(f"{read_json(path)['why']}.", markup=False)
    with console.status("Measuring the canary, the unit of every throughput, while nothing else runs"):
        for target in run.config.targets:
            pictures = run.calibration(target) if target.precision == "int8" else None
            calibrate(target, canary_folder=run.folder, lock=run.device, calibration=pictures)


def listed(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _choice(run: Run) -> Choice:
    """How the teachers' answers are come by."""
    config = run.config
    free, students = shutil.disk_usage(run.folder).free, config.trials + len(run.baselines)
    steps = config.finalist_steps if config.finalists else config.recipe.steps
    together = config.recipe.targets == "shared"
    choice = choose(run.live, run.cached, steps=steps, free=free, students=students, together=together)
    if choice.kind == "live" and config.recipe.targets == "auto" and config.cohort > 1:
        return Choice("shared", f"{choice.why}; so {config.cohort} candidates at a time share them")
    return choice


def _first(config: StudyConfig, space: SearchSpace) -> list[Network]:
    """What is tried first: the named architectures, then the fronts of earlier studies."""
    earlier = chain.from_iterable(_front_of(Path(folder), space) for folder in config.earlier)
    return [*(named(name) for name in config.named), *earlier]


def _front_of(folder: Path, space: SearchSpace) -> list[Network]:
    """The networks of an earlier study's fronts that are members of this study's space, the fastest first.

    Raises:
        EradioError: the folder holds no study, or its front no member of the space.
    """
    # Where its own folder says that it is. What the environment says is where this study is, and how to get in there.
    own = open_run(folder, environment={})
    same = own.config.storage is not None and own.config.storage == study_address(folder, None).open_text
    records = on_a_front(read_study(folder, open_run(folder) if same else own).trials, "candidate")
    networks = [parse_network(record.network, f"{folder}, trial {record.number}") for record in records]
    members = [network for network in networks if _is_member(network, space)]
    if not members:
        raise EradioError(
            f"None of the {len(networks)} networks on the front of {folder} is in the space '{space.name}'. Leave it "
            "out of `earlier`, or search a space that holds them."
        )
    return members


def _is_member(network: Network, space: SearchSpace) -> bool:
    if not isinstance(network, Architecture):
        return False
    try:
        space.encode(network)
    except EradioError:
        return False
    return True
