"""Whether an engine computes what float32 eager computes, before any of its numbers is accepted."""

import numpy as np
from numpy.typing import NDArray

from eradio.errors import EradioError
from eradio.profile.engines.base import Outputs
from eradio.profile.record import Agreement

LOWEST_COSINE = 0.9999
LARGEST_ERROR = 1e-2
"""For float32 and random weights. Engines add in other orders and take a variance in one pass, which reaches 2e-3
on networks whose norms see a mean far above the spread; a wrong conversion is far above both."""


def agreement(outputs: Outputs, reference: Outputs, engine: str) -> Agreement:
    """Compare an engine's outputs with eager's.

    Raises:
        EradioError: an output is missing, of another shape, not finite, or too far from the reference.
    """
    shapes, wanted_shapes = [part.shape for part in outputs], [part.shape for part in reference]
    if shapes != wanted_shapes or not reference:
        raise EradioError(
            f"Engine '{engine}' returned outputs of shapes {shapes} where eager returned {wanted_shapes}. "
            "Measure this network with the engine 'eager'."
        )
    if not all(np.isfinite(output).all() for output in reference):
        raise EradioError(
            "This network's own float32 outputs are not finite on random pictures, so no engine can be "
            "checked against them. Correct the network."
        )
    pairs = list(zip(outputs, reference, strict=True))
    found = Agreement(
        cosine=min(_cosine(output, wanted) for output, wanted in pairs),
        max_error=max(_relative_error(output, wanted) for output, wanted in pairs),
    )
    if not (found.cosine >= LOWEST_COSINE and found.max_error <= LARGEST_ERROR):
        raise EradioError(
            f"Engine '{engine}' disagrees with eager: cosine {found.cosine:.6f} (at least {LOWEST_COSINE} is "
            f"needed), largest relative error {found.max_error:.2g} (at most {LARGEST_ERROR:g}). "
            "Its throughput is not recorded. Measure this network with the engine 'eager'."
        )
    return found


def _cosine(output: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    first, second = output.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    if not np.isfinite(first).all():
        return -1.0
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else float(np.array_equal(first, second))


def _relative_error(output: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    if not np.isfinite(output).all():
        return 1e9
    return float(np.abs(output - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))
