"""What a folder and its file system must be able to do, tried."""

import errno
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from eradio.errors import MachineError
from eradio.files import disk_error

MOUNTS = Path("/proc/mounts")

MOST_SKEW_SECONDS = 5.0
"""By which two clocks may differ before it is said."""

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|lustre|gpfs|beegfs|beegfs_nodev|fhgfs|ceph|glusterfs|ocfs2|gfs2|afs|9p|virtiofs|orangefs"
    r"|pvfs2|panfs|wekafs|vboxsf|prl_fs|fuse\.(sshfs|glusterfs|ceph.*|s3fs|gcsfuse|rclone|juicefs|moosefs|mfs|davfs.*)"
)
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def network_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of the network file system that a path lies on, such as `nfs4`; None for a local one.

    Args:
        path: may not exist yet.
        mounts: the table of mounted file systems, as Linux has it in /proc/mounts.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    path, best, kind = path.resolve(), -1, ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # The later of two on the same point lies over the earlier.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind if _NETWORK.fullmatch(kind) else None


def check_writable(folder: Path) -> None:
    """Write and remove a file in a folder, which is created if missing.

    Raises:
        MachineError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".eradio-", suffix=".tmp") as handle:
            handle.write(b"tried")
            handle.flush()
    except OSError as error:
        raise disk_error(error, folder) from None


def check_locks(folder: Path) -> None:
    """Take a lock in a folder, and see that it keeps a second holder out.

    Raises:
        MachineError: the file system has no such locks, or they keep nobody out.
    """
    advice = "Choose a run folder on another file system with --out, or have it mounted with locks (flock)."
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".eradio-", suffix=".tmp") as first, ExitStack() as stack:
        second = os.open(first.name, os.O_RDWR)
        stack.callback(os.close, second)
        try:
            fcntl.flock(first.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise disk_error(error, folder) from None
            raise MachineError(f"The file system of {folder} has no locks ({error.strerror}). {advice}") from None
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        raise MachineError(f"Locks on the file system of {folder} keep nobody out. {advice}")


def check_links(folder: Path) -> None:
    """Make a symbolic link in a folder, which is how Optuna locks a journal.

    Raises:
        MachineError: the file system has none.
    """
    link = folder / f".eradio-{os.getpid()}.{time.time_ns()}.tmp"
    try:
        link.symlink_to(folder)
        link.unlink()
    except OSError as error:
        raise MachineError(
            f"The file system of {folder} has no symbolic links ({error.strerror}), by which a journal is locked. Keep "
            "the journal elsewhere, or use a database."
        ) from None


def check_clock(folder: Path, clock: Callable[[], float] = time.time) -> str | None:
    """A warning where this host's clock and that of a folder's file system are seconds apart."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".eradio-", suffix=".tmp") as handle:
        before = clock()
        os.utime(handle.name)
        written = os.stat(handle.name).st_mtime
    return skew_warning(written, before, clock(), f"the file system of {folder}")


def skew_warning(theirs: float, before: float, after: float, whose: str) -> str | None:
    """A warning where another clock was not read between two readings of ours, give or take a few seconds.

    Args:
        theirs: their time, in seconds since 1970.
        before: our time before it was asked for.
        after: our time after it was answered.
        whose: clock it is.
    """
    ahead = theirs - after if theirs > after else min(0.0, theirs - before)
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return None
    word = "ahead of" if ahead > 0 else "behind"
    return (
        f"The clock of {whose} is {abs(ahead):.0f} seconds {word} this host's, so times of different hosts do not fit "
        "together. Let all hosts follow a time server (NTP)."
    )
