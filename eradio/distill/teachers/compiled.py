"""How teachers compute on a GPU: in half precision, and compiled where a training is long enough to earn it."""

from contextlib import AbstractContextManager

import torch

_STEPS = 1000
"""Compiling takes about a minute for each teacher and side, as long as some hundred steps of a large one."""

_SIDES = 1024
"""Programs that teachers of one class may have together, one for each side and batch; torch stops at 8 by itself."""


def worth_compiling(device: str, steps: int) -> bool:
    """Whether a training's teachers are compiled: on a GPU, where kernels are fused under autocast, if it is long."""
    return device == "cuda" and steps >= _STEPS


def falling_back() -> AbstractContextManager[None]:
    """Where a teacher cannot be compiled (no compiler on the machine, say), it answers as it is, and torch logs why."""
    import torch._dynamo as dynamo  # takes a second, which only trainings that compile should pay

    patched: AbstractContextManager[None] = dynamo.config.patch(
        suppress_errors=True, recompile_limit=_SIDES, accumulated_recompile_limit=_SIDES
    )
    return patched


def half_type(device: str) -> torch.dtype:
    """In which teachers compute under autocast: float16 only where a GPU has no bfloat16."""
    if device != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16
