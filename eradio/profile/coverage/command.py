"""What `eradio profile --coverage` does, short of printing."""

from eradio.errors import EradioError
from eradio.profile.coverage import coverage
from eradio.profile.coverage.report import Coverage, coverage_table
from eradio.profile.subject import Subject
from eradio.profile.target import Target

__all__ = ["coverage_command", "coverage_table"]


def coverage_command(subject: Subject, target: Target) -> Coverage:
    """Ask for a network at the target's resolution and batch. See `coverage`.

    Raises:
        EradioError: it is an ONNX file, or TensorRT-RTX is not installed.
    """
    if subject.module is None:
        raise EradioError(f"{subject.name} is an ONNX file; the coverage is asked of a network that PyTorch can run.")
    module = subject.module.eval().requires_grad_(False)
    return coverage(module, target.resolution, target.batch, subject.name)
