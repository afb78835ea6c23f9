"""What every network of the project, student or teacher, answers for a batch of pictures."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Summary and spatial features of a batch (AM-RADIO, arXiv 2312.06709, section 3).

    summary: [B, C_summary], or None where a network has none (SAM).
    spatial: [B, C_spatial, h, w], a map at the network's own stride.
    """

    summary: Tensor | None
    spatial: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> "Features":
        """Both, changed in the same way; a summary that is not there stays so."""
        return Features(None if self.summary is None else change(self.summary), change(self.spatial))

    def float(self) -> "Features":
        """Both in single precision."""
        return self.each(Tensor.float)
