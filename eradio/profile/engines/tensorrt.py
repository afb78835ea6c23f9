"""TensorRT by way of torch-tensorrt: engines that cannot be refitted, one fixed shape, one CUDA graph a call."""

import copy
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from eradio.description import digest_of
from eradio.errors import EradioError
from eradio.files import cache_folder, read_json, write_atomically
from eradio.manifest import environment
from eradio.profile.engines.base import Facts, Flat, Job, Layer, Prepared
from eradio.profile.engines.eager import TYPES
from eradio.profile.engines.recorded import RecordedPrepared
from eradio.tracing import quietly, traced

INSTALL = "pip install 'eradio[tensorrt]'"
_INSTEAD = "Measure it with the engine 'eager' instead."
_PATIENCE = 3600.0
"""Seconds a build may take; minutes are usual."""


class TensorRt:
    """Builds in a sub-process, then replays what was built; the types are those of the network as it is cast."""

    name = "tensorrt"

    def __init__(self) -> None:
        self._library = _imported()

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        folder = TemporaryDirectory(prefix="eradio-tensorrt-")
        try:
            here = Path(folder.name)
            program = _program(module, job)
            torch.export.save(program, here / "program.pt2")
            libraries = [self._library.__version__, importlib.import_module("tensorrt").__version__]
            pinned = cache_folder() / "tensorrt" / f"{_identity(program, job, libraries)}.timing"
            if pinned.exists():
                shutil.copyfile(pinned, here / "timing.cache")
            given = (here / "timing.cache").read_bytes() if pinned.exists() else b""
            _build(here)
            if not pinned.exists() and (here / "timing.cache").exists():
                write_atomically(pinned, lambda file: shutil.copyfile(here / "timing.cache", file))
            plans = sorted(here.glob("*.plan"))
            if not plans:
                raise EradioError(f"TensorRT built no engine for this network: nothing in it is its own. {_INSTEAD}")
            facts = Facts(
                artifact_bytes=sum(plan.stat().st_size for plan in plans),
                timing_cache=hashlib.sha256(given or pinned.read_bytes()).hexdigest() if pinned.exists() else None,
                **read_json(here / "facts.json"),
            )
            with quietly():
                loaded = self._library.load(str(here / "engine.pt2")).module()
            return _Prepared(loaded, _typed(job).cuda(), folder, plans, facts)
        except (RuntimeError, ValueError) as error:
            folder.cleanup()
            raise EradioError(f"TensorRT cannot run this network: {_words(error)}. {_INSTEAD}") from error
        except BaseException:
            folder.cleanup()
            raise


def _imported() -> Any:
    """The library.

    Raises:
        EradioError: it is missing or broken, or there is no device.
    """
    missing = []
    if importlib.util.find_spec("torch_tensorrt") is None:
        missing.append(f"torch-tensorrt (run: {INSTALL})")
    if not torch.cuda.is_available():
        missing.append("an NVIDIA GPU that torch can see")
    if missing:
        raise EradioError(
            f"Engine 'tensorrt' needs {' and '.join(missing)}. "
            "Without a GPU, `eradio profile NETWORK --coverage` says what TensorRT would take."
        )
    try:
        with quietly():
            return importlib.import_module("torch_tensorrt")
    except Exception as error:  # missing shared libraries raise anything
        raise EradioError(
            f"torch-tensorrt is installed but cannot be imported ({_words(error)}). Run: {INSTALL} --force-reinstall"
        ) from None


def _program(module: nn.Module, job: Job) -> torch.export.ExportedProgram:
    """The network in the types of the job: TensorRT keeps to them, and has no precision of its own any more."""
    return traced(Flat(copy.deepcopy(module)).to(TYPES[job.precision]), _typed(job), any_batch=False)


def _typed(job: Job) -> Tensor:
    return job.pictures.to(TYPES[job.precision]).contiguous()


def _identity(program: torch.export.ExportedProgram, job: Job, libraries: Sequence[str]) -> str:
    """Names the tactics to pin: equal networks, shapes and types on equal hardware and libraries take the same."""
    return digest_of(
        {
            "graph": str(program.graph),
            "weights": [list(value.shape) for value in program.state_dict.values()],
            "pictures": list(job.pictures.shape),
            "precision": job.precision,
            "environment": environment(),
            "libraries": list(libraries),
        }
    )


def _build(folder: Path) -> None:
    """Run the build in a process of its own.

    Raises:
        EradioError: it died or took too long.
    """
    builder = Path(__file__).with_name("tensorrt_build.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(builder), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as late:
        said = late.output.decode(errors="replace") if isinstance(late.output, bytes) else late.output
        raise _failure(f"did not end within {_PATIENCE:g} seconds", said or "") from None
    if done.returncode != 0:
        raise _failure(f"ended with status {done.returncode}", done.stdout)


def _failure(what: str, said: str) -> EradioError:
    last = next((line.strip()[:300] for line in reversed(said.splitlines()) if line.strip()), "nothing").rstrip(".")
    return EradioError(f"TensorRT's build of this network {what}; the last it said was: {last}. {_INSTEAD}")


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")


class _Prepared(RecordedPrepared):
    """Built engines, replayed."""

    def __init__(
        self, module: Any, pictures: Tensor, folder: "TemporaryDirectory[str]", plans: Sequence[Path], facts: Facts
    ) -> None:
        super().__init__(module, pictures)
        self.facts, self._folder, self._plans = facts, folder, plans

    def layers(self) -> tuple[Layer, ...]:
        from eradio.profile.engines.tensorrt_layers import layers_of

        return layers_of(self._plans)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()
