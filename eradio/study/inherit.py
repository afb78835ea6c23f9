"""First weights from the most similar student that is done, where a study asks for it: such a student has had a start
that others had not, so its record says from whom.
"""

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from eradio.description import Description
from eradio.errors import NetworkError, PassingError
from eradio.files import write_json
from eradio.study.kept import kept

_FILE = "inherited.json"


class Inheritance(Description):
    """Whose weights a network begins with."""

    source: str
    """Path of a student's weights."""
    share: float
    """Of the network's weights, by number, that have a namesake of the same shape there."""

    @classmethod
    def kept_in(cls, folder: Path) -> Self | None:
        """What was settled when the network of a folder was begun; None if it begins with its own."""
        return kept(cls, folder / _FILE)

    def keep(self, folder: Path) -> None:
        """Settle it for this and all later attempts.

        Raises:
            MachineError: there is no room.
        """
        write_json(folder / _FILE, self.model_dump(mode="json"))

    def hand_down(self, student: nn.Module) -> None:
        """Replace the weights that have a namesake.

        Raises:
            NetworkError: they are gone.
            PassingError: the disk does not answer, which says nothing about them.
        """
        own = student.state_dict()
        try:
            theirs = load_file(self.source)
        except (FileNotFoundError, SafetensorError) as error:
            raise NetworkError(f"the weights it was to begin with, {self.source}, cannot be read ({error})") from None
        except OSError as error:
            raise PassingError(f"Cannot read {self.source}: {error.strerror}. Check the disk.") from None
        fitting = {name: theirs[name] for name in _backbone(own) if name in theirs}
        fitting = {name: value for name, value in fitting.items() if value.shape == own[name].shape}
        student.load_state_dict(fitting, strict=False)


def most_similar(student: nn.Module, others: Iterable[Path]) -> Inheritance | None:
    """The student with which most of a network's weights could begin; None if there is none.

    Args:
        student: of the network.
        others: files of weights, from the earliest; of equals the first is taken.
    """
    state = student.state_dict()
    own = {name: tuple(state[name].shape) for name in _backbone(state)}
    total = sum(_count(shape) for shape in own.values())
    best: Inheritance | None = None
    for path in others:
        try:
            theirs = _shapes(path)
        except (OSError, SafetensorError):  # it is of no use to others either
            continue
        same = sum(_count(shape) for name, shape in own.items() if theirs.get(name) == shape)
        if same and (best is None or same / total > best.share):
            best = Inheritance(source=str(path), share=same / total)
    return best


def _backbone(names: Iterable[str]) -> list[str]:
    """A student's heads answer in other scales before its training than after it, so each begins with its own."""
    return [name for name in names if name.startswith("backbone.")]


def _count(shape: tuple[int, ...]) -> int:
    return prod(shape)


def _shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    with safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
