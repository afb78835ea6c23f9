"""A whole Slurm of one machine, for tests: a controller and several simulated nodes, from the distribution's packages.

Everything it writes is in one private folder, everything it listens on is the loopback address, and it ends exactly
the processes it started. It has no accounting database, as many small clusters; `SACCT` is one for tests.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from eradio.study.processes import end_with_parent

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "munged")

# A requeued job is held until its credential has run out: two minutes, where nothing else (or less than 5) is given.
_HELD_SECONDS = 5
_KILL_SECONDS = 2
_READY_SECONDS = 40

_CONFIG = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge.socket,cred_expire={held}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=2
KillWait={kill}
MinJobAge=600
InactiveLimit=0
MailProg=/bin/true
"""


def missing() -> str:
    """Why there can be no Slurm here, or nothing."""
    if os.geteuid() != 0:
        return "a Slurm for tests needs root"
    lacking = [program for program in PROGRAMS if _where(program) is None]
    return f"a Slurm for tests needs {', '.join(lacking)} (see .ci/run)" if lacking else ""


@contextmanager
def private_slurm() -> "Iterator[SlurmNode]":
    """A Slurm that all processes that are started meanwhile find; see `missing` for where there can be none."""
    node, before = SlurmNode(), dict(os.environ)
    os.environ.update(node.variables, PATH=f"{os.environ['PATH']}:/usr/sbin")
    try:
        node.start()
        yield node
    finally:
        node.stop()
        for name in ("PATH", *node.variables):
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@dataclass
class SlurmNode:
    """One private Slurm; `variables` are what its commands need."""

    nodes: int = 2
    cores: int = 4
    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
    _daemons: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.root / "slurm.conf")}

    def start(self) -> None:
        """Start everything and wait until all nodes can take jobs.

        Raises:
            TimeoutError: they could not in time; the text holds the ends of the logs.
        """
        for name in ("state", *(f"spool-n{number}" for number in range(self.nodes))):
            (self.root / name).mkdir()
        (self.root / "slurm.conf").write_text(self._config())
        (self.root / "cgroup.conf").write_text("CgroupAutomount=no\n")
        key = self.root / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        self.root.chmod(0o755)  # munge's clients must reach its socket; its key stays closed
        own = [f"--{name}-file={self.root}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._run("munged", "--foreground", *own, f"--socket={self.root}/munge.socket", "--num-threads=2")
        self._until(lambda: (self.root / "munge.socket").exists())
        self._run("slurmctld", "-D", "-f", self.variables["SLURM_CONF"])
        for number in range(self.nodes):
            self._run("slurmd", "-D", "-N", f"n{number}", "-f", self.variables["SLURM_CONF"])
        self._until(lambda: self.said("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * self.nodes)

    def said(self, *command: str) -> str:
        """What one of Slurm's commands prints; nothing if it fails."""
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.variables}, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def stop(self) -> None:
        """Cancel all jobs, end every daemon, and remove the folder."""
        self.said("scancel", "--user=root")
        with suppress(TimeoutError):
            self._until(lambda: not self.said("squeue", "-h").strip(), seconds=_KILL_SECONDS + 5)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def _config(self) -> str:
        port, host = _free_ports(self.nodes + 1), socket.gethostname().split(".")[0]
        text = _CONFIG.format(host=host, port=port, root=self.root, held=_HELD_SECONDS, kill=_KILL_SECONDS)
        for number in range(self.nodes):
            text += (
                f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 1 + number} "
                f"CPUs={self.cores} RealMemory=4000 State=UNKNOWN\n"
            )
        return text + "PartitionName=test Nodes=ALL Default=YES MaxTime=60 DefaultTime=10 State=UP\n"

    def _run(self, program: str, *arguments: str) -> None:
        with (self.root / f"{program}.out").open("ab") as output:
            command, parent = [_where(program) or program, *arguments], os.getpid()
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: end_with_parent(parent, signal.SIGKILL),
            )
        self._daemons.append(daemon)

    def _until(self, true, seconds: float = _READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                logs = [f"{path.name}: {path.read_text()[-800:]}" for path in self.root.glob("*.[lo][ou][gt]")]
                raise TimeoutError("\n".join(logs))
            time.sleep(0.1)


SACCT = """#!/bin/sh
# Stands in for the accounting: it knows the end of two tasks of any job that it is asked about.
for word; do case $word in --jobs=*) job=${word#--jobs=};; esac; done
echo "${job}_0|COMPLETED|0:0"
echo "${job}_1|FAILED|1:0"
"""


def _where(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _free_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that the kernel gives away by itself."""
    for _ in range(200):
        first = random.randrange(20000, 31000)
        with ExitStack() as stack, suppress(OSError):
            for number in range(count):
                one = stack.enter_context(socket.socket())
                one.bind(("127.0.0.1", first + number))
            return first
    raise RuntimeError("there are no free ports in a row")
