"""Whether an engine computes what float32 eager computes, before any of its numbers is accepted."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eradio.errors import BuildError
from eradio.profile.engines.base import Outputs, Precision
from eradio.profile.record import Agreement


class Limits(NamedTuple):
    """What is still accepted."""

    cosine: float
    error: float
    """Largest error, relative to the largest magnitude of the reference output."""


LIMITS: Mapping[Precision, Limits] = {
    "fp32": Limits(0.9999, 1e-2),
    "fp16": Limits(0.9995, 5e-2),
    "bf16": Limits(0.999, 0.1),
    "int8": Limits(0.98, 0.3),
}
"""For random weights, several times what correct conversions reach and far below what wrong ones do.

In float32 engines add in other orders and take a variance in one pass: up to 2e-3 on networks whose norms see a mean
far above the spread. The networks of all shipped spaces
stay within 0.012 in bfloat16 and 0.03 in 8-bit integers.
"""


def agreement(outputs: Outputs, reference: Outputs, engine: str, precision: Precision = "fp32") -> Agreement:
    """Compare an engine's outputs in some precision with eager's in float32.

    Raises:
        BuildError: an output is missing, of another shape, not finite, or too far from the reference.
    """
    shapes, wanted_shapes = [part.shape for part in outputs], [part.shape for part in reference]
    if shapes != wanted_shapes or not reference:
        raise BuildError(
            f"Engine '{engine}' returned outputs of shapes {shapes} where eager returned {wanted_shapes}. "
            "Measure this network with the engine 'eager'."
        )
    if not all(np.isfinite(output).all() for output in reference):
        raise BuildError(
            "This network's own float32 outputs are not finite on random pictures, so no engine can be "
            "checked against them. Correct the network."
        )
    pairs = list(zip(outputs, reference, strict=True))
    found = Agreement(
        cosine=min(_cosine(output, wanted) for output, wanted in pairs),
        max_error=max(_relative_error(output, wanted) for output, wanted in pairs),
    )
    limits = LIMITS[precision]
    if not (found.cosine >= limits.cosine and found.max_error <= limits.error):
        raise BuildError(
            f"Engine '{engine}' in {precision} disagrees with eager: cosine {found.cosine:.6f} (at least "
            f"{limits.cosine} is needed), largest relative error {found.max_error:.2g} (at most {limits.error:g}). "
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
