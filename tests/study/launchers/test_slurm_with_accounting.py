"""Workers of a real Slurm that keeps accounting, in a real database."""

import subprocess

import pytest

from eradio.study.launchers.base import Job, Launched
from eradio.study.launchers.slurm import SlurmLauncher
from tests.contracts.launcher import LauncherContract
from tests.services import MariaDB
from tests.slurm_node import ACCOUNTING, PROGRAMS, SlurmNode, missing, private_slurm
from tests.waiting import until


@pytest.fixture(scope="module")
def node(mariadb: MariaDB):
    if why := missing((*PROGRAMS, *ACCOUNTING)):
        pytest.skip(why)
    with private_slurm(mariadb) as node:
        yield node


@pytest.mark.usefixtures("node")
class TestSlurmWithAccounting(LauncherContract):
    @pytest.fixture
    def launcher(self):
        return SlurmLauncher()

    def test_what_the_controller_forgot_the_accounting_knows(self, launcher, job, place, start, node: SlurmNode):
        node.forget()  # so that the next job has the first number, which another one had
        (place / "end").mkdir()
        for number, status in enumerate((0, 1)):
            (place / "end" / str(number)).write_text(str(status))
        launched = start(job.model_copy(update={"workers": 2}))
        until(lambda: all(one.state == "ended" for one in launcher.state(launched)), 120)
        _lose_notes(launched.job)
        # The controller tells of a task seconds after its end; killed before, it takes that with it.
        until(lambda: _ends_in_the_accounting(node, launched) == ["COMPLETED", "FAILED"], seconds=120, every=0.3)
        node.forget()
        forgotten = subprocess.run(["scontrol", "show", "job", launched.details["job"]], capture_output=True, text=True)
        assert "Invalid job id" in forgotten.stderr
        assert _statuses(launcher, launched) == {0, 1}

        # The controller counts from 1 again; what has the same number is another job.
        (place / "end" / "again").write_text("0")
        second = start(job.model_copy(update={"workers": 1, "name": "second-1"}))
        assert second.details["job"] == launched.details["job"]
        until(lambda: all(one.state == "ended" for one in launcher.state(second)), 120)
        _lose_notes(second.job)
        assert _statuses(launcher, second) == {0}
        until(lambda: _ends_in_the_accounting(node, second) == ["COMPLETED"], seconds=120, every=0.3)
        assert _statuses(launcher, launched) == {0, 1}


def _statuses(launcher: SlurmLauncher, launched: Launched) -> set[int | None]:
    return {one.status for one in launcher.state(launched)}


def _ends_in_the_accounting(node: SlurmNode, launched: Launched) -> list[str]:
    ours = f"--jobs={launched.details['job']}", f"--name={launched.details['name']}"
    said = node.said("sacct", "--noheader", "--parsable2", "--allocations", *ours, "--format=State")
    return sorted(state for state in said.split() if state in ("COMPLETED", "FAILED"))


def _lose_notes(job: Job) -> None:
    for number in range(job.workers):
        job.note(number).unlink(missing_ok=True)
