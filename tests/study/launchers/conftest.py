"""A Slurm for the tests of this folder."""

import os

import pytest

from tests.slurm_node import SlurmNode, missing


@pytest.fixture(scope="session")
def slurm_node():
    """A real Slurm with two simulated nodes, which all processes of these tests find."""
    if why := missing():
        pytest.skip(why)
    node = SlurmNode()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in node.variables.items():
            patch.setenv(name, value)
        patch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
        try:
            node.start()
            yield node
        finally:
            node.stop()
