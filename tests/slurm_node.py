"""A whole Slurm of one machine, for tests: a controller and several simulated nodes, from the distribution's packages.

Everything it writes is in one private folder, everything it listens on is the loopback address, and it ends exactly
the processes it started. As many small clusters it has no accounting, unless it is given a database for it.
"""

import os
import random
import secrets
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
from tests.services import MariaDB

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "munged")
ACCOUNTING = ("slurmdbd", "sacct", "sacctmgr")

# A requeued job is held until its credential has run out: two minutes, where nothing else (or less than 5) is given.
_HELD_SECONDS = 5
_KILL_SECONDS = 2
_READY_SECONDS = 180

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
{accounting}
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
_NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={root}/munge.socket"""

_KEEPER = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CommunicationParameters=NoInAddrAny
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser={user}
StoragePass={password}
StorageLoc={database}
"""
"""Of the accounting, which stands between the controller and the database."""


def missing(programs: tuple[str, ...] = PROGRAMS) -> str:
    """Why there can be no Slurm here, or nothing."""
    if os.geteuid() != 0:
        return "a Slurm for tests needs root"
    lacking = [program for program in programs if _where(program) is None]
    return f"a Slurm for tests needs {', '.join(lacking)} (see .ci/run)" if lacking else ""


@contextmanager
def private_slurm(database: MariaDB | None = None) -> "Iterator[SlurmNode]":
    """A Slurm that all processes that are started meanwhile find; see `missing` for where there can be none."""
    node, before = SlurmNode(database), dict(os.environ)
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
    """One private Slurm; `variables` are what its commands need.

    Attributes:
        database: keeps its accounting; None for a Slurm without.
    """

    database: MariaDB | None = None
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
        accounting = self._write_config()
        (self.root / "cgroup.conf").write_text("CgroupAutomount=no\n")
        key = self.root / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        self.root.chmod(0o755)  # munge's clients must reach its socket; its key stays closed
        own = [f"--{name}-file={self.root}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._run("munged", "--foreground", *own, f"--socket={self.root}/munge.socket", "--num-threads=2")
        self._until(lambda: (self.root / "munge.socket").exists())
        if accounting:
            self._run("slurmdbd", "-D")
            self._until(lambda: bool(self.said("sacctmgr", "-i", "add", "cluster", "private")))
        self._control()
        for number in range(self.nodes):
            self._run("slurmd", "-D", "-N", f"n{number}", "-f", self.variables["SLURM_CONF"])
        self._wait()

    def forget(self) -> None:
        """Take the controller's memory of all jobs, as a lost disk does: it counts jobs from 1 again."""
        self._daemons.remove(self._controller)
        self._controller.kill()
        self._controller.wait()
        shutil.rmtree(self.root / "state")
        (self.root / "state").mkdir()
        self._control()
        self._wait()

    def said(self, *command: str) -> str:
        """What one of Slurm's commands prints; nothing if it fails."""
        try:
            environment = {**os.environ, **self.variables}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30)
        except subprocess.TimeoutExpired:
            return ""
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

    def _write_config(self) -> bool:
        """Whether there is accounting."""
        root, port, host = self.root, _free_ports(self.nodes + 2), socket.gethostname().split(".")[0]
        accounting = _NO_ACCOUNTING
        if self.database is not None:
            accounting = _ACCOUNTING.format(port=port, root=root)
            # Not the superuser: the keeper's configuration cannot hold every password.
            name, user, password = self.database.create_database(), f"u{secrets.token_hex(4)}", secrets.token_hex(8)
            self.database.sql(
                f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{password}'",
                f"GRANT ALL ON {name}.* TO {user}@'127.0.0.1'",
            )
            (root / "slurmdbd.conf").touch(mode=0o600)
            (root / "slurmdbd.conf").write_text(
                _KEEPER.format(
                    root=root,
                    host=host,
                    port=port,
                    database_port=self.database.port,
                    user=user,
                    password=password,
                    database=name,
                )
            )
        text = _CONFIG.format(
            host=host, port=port + 1, root=root, held=_HELD_SECONDS, kill=_KILL_SECONDS, accounting=accounting
        )
        for number in range(self.nodes):
            text += (
                f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 2 + number} "
                f"CPUs={self.cores} RealMemory=4000 State=UNKNOWN\n"
            )
        text += "PartitionName=test Nodes=ALL Default=YES MaxTime=60 DefaultTime=10 State=UP\n"
        (root / "slurm.conf").write_text(text)
        return self.database is not None

    def _control(self) -> None:
        self._controller = self._run("slurmctld", "-D", "-f", self.variables["SLURM_CONF"])

    def _wait(self) -> None:
        self._until(lambda: self.said("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * self.nodes)

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.root / f"{program}.out").open("ab") as output:
            command, parent = [_where(program) or program, *arguments], os.getpid()
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.variables},
                preexec_fn=lambda: end_with_parent(parent, signal.SIGKILL),
            )
        self._daemons.append(daemon)
        return daemon

    def _until(self, true, seconds: float = _READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                logs = [f"{path.name}: {path.read_text()[-800:]}" for path in self.root.glob("*.[lo][ou][gt]")]
                raise TimeoutError("\n".join(logs))
            time.sleep(0.1)


def _where(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _free_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that the kernel gives away by itself.

    Each of the processes among which the tests are divided has its own, since free is not yet taken.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    for _ in range(200):
        first = 20000 + 1000 * process + random.randrange(1000 - count)
        with ExitStack() as stack, suppress(OSError):
            for number in range(count):
                one = stack.enter_context(socket.socket())
                one.bind(("127.0.0.1", first + number))
            return first
    raise RuntimeError("there are no free ports in a row")
