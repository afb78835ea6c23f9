"""A cluster in miniature on one machine: a database server, workers under their supervisors, and perhaps a Slurm."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eradio.study.launchers import load_launcher
from eradio.study.launchers.base import Launched
from eradio.study.launchers.records import begin, worker_job
from eradio.study.restarts import Rules
from eradio.study.supervisor import Note, read_note
from tests.services import Postgres
from tests.slurm_node import SlurmNode

# A worker that is killed for fun is not given up, and does not make the others wait.
RULES = Rules(first_wait=0.5, longest_wait=4.0, deaths=1000, patience=20.0)


@dataclass(frozen=True)
class Alive:
    """A worker's process and its supervisor's, with the name under which it is launched."""

    name: str
    pid: int
    supervisor: int


@dataclass
class Cluster:
    """What workers of one study run on.

    Attributes:
        server: that holds the study.
        config: the study's file.
        run: its run folder.
        slurm: where there is one.
        launched: all launches so far.
    """

    server: Postgres
    config: Path
    run: Path
    slurm: SlurmNode | None = None
    launched: list[Launched] = field(default_factory=list)

    def launch(self, launcher: str, workers: int) -> Launched:
        """Start workers, as `eradio launch` does."""
        study = re.findall(r"^name: (\S+)", self.config.read_text(encoding="utf-8"), re.MULTILINE)[0]
        job = worker_job(launcher, study, self.config, self.run, workers, rules=RULES)
        self.launched.append(begin(launcher, job))
        return self.launched[-1]

    def going(self) -> int:
        """How many workers have not ended for good; what nobody knows any more does not count."""
        states = [state.state for one in self.launched for state in load_launcher(one.launcher).state(one)]
        return sum(state in ("waiting", "running") for state in states)

    def alive(self) -> list[Alive]:
        """The processes of all workers that run at the moment."""
        return list(self._alive())

    def _alive(self) -> Iterator[Alive]:
        for one in self.launched:
            for number in range(one.job.workers):
                note = read_note(note_file := one.job.note(number))
                if note is not None and note.state == "running" and note.pid is not None:
                    with suppress(OSError, IndexError):
                        parent = _parent(note.pid)
                        if {str(self.run), "worker"} <= {*_arguments(note.pid)} and str(note_file) in _arguments(
                            parent
                        ):
                            yield Alive(f"{one.job.name}/{number}", note.pid, parent)

    def ended(self) -> dict[str, Note]:
        """How each worker that has ended for good has ended, by its name."""
        found = {}
        for one in self.launched:
            for number in range(one.job.workers):
                note = read_note(one.job.note(number))
                if note is not None and note.state == "ended":
                    found[f"{one.job.name}/{number}"] = note
        return found

    def stop(self) -> None:
        """End what still runs."""
        for one in self.launched:
            load_launcher(one.launcher).stop(one, RULES.patience)


def _arguments(pid: int) -> list[str]:
    return Path("/proc", str(pid), "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")


def _parent(pid: int) -> int:
    stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])
