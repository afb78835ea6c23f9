"""One program of a network by `torch.export`, without the exporters' commentary."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch
from torch import Tensor, nn


def traced(module: nn.Module, pictures: Tensor, *, any_batch: bool) -> torch.export.ExportedProgram:
    """The `torch.export` program of a network.

    Args:
        module: in eval mode; answers with a tensor or a plain tuple of tensors.
        pictures: [B, 3, H, W] on the module's device; their sides are what the program takes.
        any_batch: whether the program takes any number of pictures, or exactly B.
    """
    if not any_batch:
        with quietly():
            return torch.export.export(module, (pictures,))
    several = pictures if len(pictures) > 1 else pictures.repeat(2, 1, 1, 1)  # torch.export takes one for a constant
    with quietly():
        return torch.export.export(module, (several,), dynamic_shapes=({0: torch.export.Dim("batch")},))


@contextmanager
def quietly() -> Iterator[None]:
    """The exporters explain themselves at length, and raise what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
