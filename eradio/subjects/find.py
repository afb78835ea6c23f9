"""From what a user types to a network that can be measured."""

import hashlib
import importlib
import re
import sys
from pathlib import Path

import timm
from torch import nn

from eradio.errors import EradioError
from eradio.export import find_trained
from eradio.profile.subject import Subject, shape_digest, subject_of
from eradio.search_space import Architecture, TimmNetwork, choose_windows
from eradio.subjects.teachers import KINDS, teacher

WAYS = """an E-RADIO name, timm/NAME, an architecture file, a trial (RUN#12), the folder of a trial or finalist, a file
of official weights, an ONNX file, a teacher (shipped/clip, open_clip/NAME, sam/NAME), or MODULE:FUNCTION of your own"""

_TRIAL = re.compile(r"(?P<run>.+)#(?P<number>\d+)")
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)")


def find(text: str, resolution: int, window: str | None = None) -> Subject:
    """The network a user means.

    Args:
        text: one of `WAYS`.
        resolution: side of the pictures it will be given, in pixels; a network of timm's that has a fixed size is
            built for this one.
        window: attention windows other than those it has, as `choose_windows` takes them; names get windows that fit.

    Raises:
        EradioError: there is no such network, or it has no windows to choose.
    """
    if match := _TRIAL.fullmatch(text):
        return _known(str(_folder(Path(match["run"]), int(match["number"]))), text, resolution, window)
    if match := _FUNCTION.fullmatch(text):
        return _unwindowed(_called(text, match["module"], match["function"]), window)
    if text.endswith(".onnx"):
        return _unwindowed(_file(Path(text)), window)
    kind, _, name = text.partition("/")
    if kind in KINDS and name and not Path(text).exists():
        module, source = teacher(kind, name, resolution)
        return _unwindowed(Subject(text, shape_digest(module), source, module), window)
    return _known(text, text, resolution, window)


def _known(checkpoint: str, name: str, resolution: int, window: str | None) -> Subject:
    """A network with a description, and weights where it has any."""
    side = (resolution, resolution)
    if checkpoint.startswith("timm/"):
        sized = _sized(checkpoint.removeprefix("timm/"), resolution)
        return _unwindowed(subject_of(name, sized, resolution), window)
    trained = find_trained(checkpoint)
    network, module = trained.network, trained.module
    if isinstance(network, Architecture):
        network = choose_windows(network, side, window or trained.window)
        fresh = subject_of(name, network, resolution)
        assert fresh.module is not None
        fresh.module.load_state_dict(module.state_dict())
        module = fresh.module
    elif window is not None:
        raise EradioError(_NO_WINDOWS.format(name=name))
    found = subject_of(name, network, resolution, module.eval())
    return Subject(found.name, found.digest, trained.source, found.module, windows=found.windows)


def _sized(name: str, resolution: int) -> TimmNetwork:
    """A network of timm's at a resolution; those made for one size take it as an option."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    own = config.input_size[-1] if config is not None else resolution
    fixed = config is not None and config.fixed_input_size and own != resolution
    return TimmNetwork(name=name, options={"img_size": resolution} if fixed else {})


def _folder(run: Path, number: int) -> Path:
    """Where a study keeps one of its trials; `run` may also be the study's database."""
    root = run.parent if run.suffix == ".db" else run
    if not (root / "study.json").is_file():
        raise EradioError(f"{root} is no run folder (it has no study.json). Give the folder of a search, as in RUN#12.")
    folder = root / "candidates" / f"{number:04d}"
    if not folder.is_dir():
        raise EradioError(f"The study in {root} has no trained candidate {number}. See its report for the numbers.")
    return folder


def _called(text: str, module: str, function: str) -> Subject:
    """What a function of the user's returns; modules of the current folder are found too."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        maker = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise EradioError(f"Cannot find {text}: {error}. Give MODULE:FUNCTION as Python would import it.") from None
    finally:
        sys.path.remove(here)
    try:
        network = maker()
    except (Exception, SystemExit) as error:  # the function is the user's own, and so is whatever it raises
        raise EradioError(f"{text} raised {type(error).__name__}: {error}. It is called without arguments.") from error
    if not isinstance(network, nn.Module):
        raise EradioError(f"{text} returned a {type(network).__name__}, not a torch.nn.Module.")
    return Subject(text, shape_digest(network), f"what {text} returns", network.eval())


def _file(path: Path) -> Subject:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from None
    return Subject(str(path), digest, f"the ONNX file {path}", onnx=path)


def _unwindowed(subject: Subject, window: str | None) -> Subject:
    if window is not None:
        raise EradioError(_NO_WINDOWS.format(name=subject.name))
    return subject


_NO_WINDOWS = "--window is for architectures of ours; '{name}' has none to choose."
