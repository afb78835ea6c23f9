"""What every network of the project, student or teacher, answers for a batch of pictures."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Summary and spatial features of a batch (AM-RADIO, arXiv 2312.06709, section 3).

    summary: [B, C_summary], or None where a network has none (SAM).
    spatial: [B, C_spatial, h, w], a map at the network's own stride.
    """

    summary: Tensor | None
    spatial: Tensor

    def float(self) -> "Features":
        """Both in single precision."""
        return Features(None if self.summary is None else self.summary.float(), self.spatial.float())
