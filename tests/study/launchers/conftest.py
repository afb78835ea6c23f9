"""A Slurm for the tests of this folder."""

import pytest

from tests.slurm_node import missing, private_slurm


@pytest.fixture(scope="session")
def slurm_node():
    """A real Slurm with two simulated nodes, which all processes of these tests find."""
    if why := missing():
        pytest.skip(why)
    with private_slurm() as node:
        yield node
