"""What earlier attempts left in a candidate's folder; what a broken disk spoiled is set aside, and done again."""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from eradio.description import Description
from eradio.errors import EradioError, PassingError
from eradio.files import parsed_json
from eradio.study.holding import Kind
from eradio.study.records import FinalistRecord, TrialRecord

Kept = TypeVar("Kept", bound=Description)


def kept(kind: type[Kept], path: Path) -> Kept | None:
    """What a file of a candidate's holds; None where there is none, or none that can be used.

    A file that no worker can read would end every worker that takes the candidate, one after the other.

    Raises:
        PassingError: the disk does not answer, which says nothing about the file.
    """
    try:
        return kind.parse(parsed_json(path.read_bytes()), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PassingError(f"Cannot read {path}: {error.strerror}. Check the disk.") from None
    except (EradioError, ValueError):
        set_aside(path)
        return None


def told_before(kind: Kind, path: Path, finalist_steps: int) -> TrialRecord | FinalistRecord | None:
    """The record that an earlier attempt wrote before it could tell it; a finalist's of as long a training alone."""
    if kind != "finalist":
        return kept(TrialRecord, path)
    record = kept(FinalistRecord, path)
    return record if record is not None and (record.score.steps == finalist_steps or record.reason) else None


def set_aside(path: Path) -> None:
    """Leave a file for its user to look at, under a name that nobody reads."""
    with suppress(FileNotFoundError):  # another worker was first
        path.replace(path.with_name(f"{path.name}.unreadable"))
