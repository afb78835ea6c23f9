"""Export is a property of the space: a freshly drawn sample of it here, 200 members in `benchmarks/export_wide.py`."""

from itertools import islice

import pytest

from benchmarks.export_wide import check, passed
from eradio.search_space import SearchSpace, sample


@pytest.mark.no_cover
def test_members_of_the_widest_space_leave_for_every_runtime(seed):
    """torch.export, ONNX Runtime within 1e-4 of eager's deviation, and torch.compile without a graph break."""
    small = (one for one in sample(SearchSpace.named("wide"), seed) if one.stages[0].width <= 48)
    shallow = (one for one in small if sum(stage.depth for stage in one.stages) <= 8)
    for architecture in islice(shallow, 3):
        row = check(architecture)
        assert passed(row), row
