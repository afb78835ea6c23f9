"""Teachers that inductor compiles, where a training is long enough to earn it."""

from contextlib import AbstractContextManager

_STEPS = 1000
"""Compiling takes about a minute for each teacher and side, as long as some hundred steps of a large one."""


def worth_compiling(device: str, steps: int) -> bool:
    """Whether a training's teachers are compiled: on a GPU, where kernels are fused under autocast, if it is long."""
    return device == "cuda" and steps >= _STEPS


def falling_back() -> AbstractContextManager[None]:
    """Where a teacher cannot be compiled (no compiler on the machine, say), it answers as it is, and torch logs why."""
    import torch._dynamo as dynamo  # takes a second, which only trainings that compile should pay

    patched: AbstractContextManager[None] = dynamo.config.patch(suppress_errors=True)
    return patched
