"""What the canary takes on this computer while nobody disturbs it, learnt from run to run.

The stored rate may have been taken in a busy minute, and even the undisturbed machine is not always the same: its
clock, its memory and who else uses both change over hours. So each run leaves what its canary took at best.
"""

import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from eradio.description import Description
from eradio.errors import EradioError
from eradio.files import read_json, write_json
from eradio.locks import locked
from eradio.profile.canary import target_key
from eradio.profile.record import Reference
from eradio.profile.target import Target
from eradio.profile.undisturbed import SLOWEST

_FILE = "canary-runs.json"

_REMEMBERED = 32

_LUCKY = 16
"""One in so many runs is faster by luck."""

_FEWEST = 4
"""Runs that tell a scatter."""


@dataclass(frozen=True)
class Usual:
    """The canary on the undisturbed machine."""

    seconds: float
    """One call."""
    scatter: float = 0.0
    """Deviation of its logarithm from run to run; 0 while there were too few."""


class _Runs(Description):
    seconds: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Of one undisturbed call in the last runs."""


def usual_canary(reference: Reference, target: Target, folder: Path) -> Usual:
    """The fastest of the stored rate and of what earlier runs on this computer found.

    Raises:
        EradioError: the stored file cannot be read, or holds something else.
    """
    runs = _read(folder).seconds.get(_key(target), ())
    found = sorted([target.batch / reference.images_per_second, *runs])
    seconds = found[len(found) // _LUCKY]
    undisturbed = [one for one in runs if one <= SLOWEST * seconds]
    scatter = float(np.std(np.log(undisturbed), ddof=1)) if len(undisturbed) >= _FEWEST else 0.0
    return Usual(seconds, scatter)


def remember_run(target: Target, folder: Path, seconds: float) -> None:
    """Keep what one undisturbed call took in a run.

    What cannot be kept is lost: the run itself is worth more.
    """
    key = _key(target)
    with suppress(EradioError, OSError), locked(folder / "canary.lock", timeout=10.0):
        known = _read(folder).seconds
        kept = (*known.get(key, ()), seconds)[-_REMEMBERED:]
        write_json(folder / _FILE, _Runs(seconds={**known, key: kept}).model_dump(mode="json"))


def _key(target: Target) -> str:
    return f"{platform.node()} {target_key(target)}"


def _read(folder: Path) -> _Runs:
    path = folder / _FILE
    return _Runs.parse(read_json(path), str(path)) if path.exists() else _Runs()
