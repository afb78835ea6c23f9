"""TensorRT-RTX in a folder of its own, since it shares its import name with the torch-tensorrt that users have."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from importlib import metadata
from pathlib import Path
from typing import Self

from eradio.errors import EradioError

_PATIENCE = 1800.0
"""Seconds a network may take; the largest of the zoo takes a tenth of that."""


def folder() -> Path:
    """Where the wheels lie: beside the packages of this environment, not among them."""
    return Path(sys.prefix) / "tensorrt-rtx"


def pins() -> tuple[str, ...]:
    """The exact versions, as the extra `coverage` names them."""
    wanted = metadata.requires("eradio") or []
    return tuple(line.split(";")[0].strip() for line in wanted if re.search(r"extra == .coverage.", line))


def install_line() -> str:
    """The command that installs them."""
    return f"pip install --no-deps --target {folder()} {' '.join(pins())}"


class Worker:
    """The sub-process that asks TensorRT-RTX; it starts when first asked, and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`

    def ask(self, network: Path) -> str | None:
        """Let it write `report.json` into the folder of a network; None, or why it could not.

        Raises:
            EradioError: TensorRT-RTX is not installed, or cannot be imported.
        """
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(_PATIENCE, process.kill)
        timer.start()
        try:
            process.stdin.write(f"{network}\n")
            process.stdin.flush()
            answered = process.stdout.readline()
        except BrokenPipeError:
            answered = ""
        finally:
            timer.cancel()
        if answered:
            return None
        self._process = None
        return f"its process ended with status {process.wait()} ({self._last_words()})"

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None
        self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> "subprocess.Popen[str]":
        if not (folder() / "torch_tensorrt").is_dir():
            raise EradioError(f"--coverage needs TensorRT-RTX in a folder of its own. Run: {install_line()}")
        others = os.environ.get("PYTHONPATH", "")
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [str(folder()), others])),
                "CUDA_VISIBLE_DEVICES": "",  # the same answer with and without a device
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        assert process.stdout is not None
        if not process.stdout.readline():
            process.communicate()
            raise EradioError(
                f"TensorRT-RTX in {folder()} cannot be imported ({self._last_words()}). Run: {install_line()} --upgrade"
            )
        return process

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
