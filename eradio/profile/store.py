"""Measurements that every study of this user on this host may use again, under their identities."""

import contextlib
from pathlib import Path

from eradio.errors import EradioError
from eradio.files import cache_folder, read_json, write_json
from eradio.profile.record import Measurement, Reference

_ON_A_GPU = (
    "Measured in another run: a GPU's clock depends on what else is in a run, so ratios to the canary were seen to "
    "differ by 1.5 to 4 % between runs, which the interval does not hold."
)


def keep(measurement: Measurement) -> None:
    """Remember a settled measurement for other studies; the first one under an identity stays.

    Where the cache folder cannot be written, other studies measure for themselves.
    """
    if measurement.verdict == "settled" and _read(measurement.identity) is None:
        with contextlib.suppress(EradioError, OSError):
            write_json(_path(measurement.identity), measurement.model_dump(mode="json"))


def known(identity: str, reference: Reference | None) -> Measurement | None:
    """What was measured under an identity before, with images/s in the unit of another reference.

    An identity names network, target, hardware and library versions, so nothing of another environment is found here;
    the ratio to the canary needs no unit. What cannot be read is measured anew.

    Args:
        identity: as `eradio.profile.identity` gives it.
        reference: the canary's rate in the study that asks; None if it has none yet.
    """
    found = None if reference is None else _read(identity)
    if found is None or reference is None:
        return None
    told = found.notes if found.target.device == "cpu" else (*found.notes, _ON_A_GPU)
    return found.model_copy(
        update={
            "notes": told,
            "throughput": found.ratio.scaled(reference.images_per_second),
            "canary": reference,
            "reused": True,
        }
    )


def _read(identity: str) -> Measurement | None:
    path = _path(identity)
    try:
        found = Measurement.parse(read_json(path), str(path)) if path.exists() else None
    except EradioError:
        return None
    return found if found is not None and found.identity == identity and found.verdict == "settled" else None


def _path(identity: str) -> Path:
    return cache_folder() / "measurements" / f"{identity}.json"
