"""One task of a Slurm array: keeps a worker alive, and queues it again when its time is up.

As a program, in place of the job's shell: python -m eradio.study.launchers.slurm_task --log FILE -- COMMAND...
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from eradio.errors import EradioError, complain
from eradio.study.restarts import ASKED, MEND
from eradio.study.supervisor import Note, parsed, supervise


def goes_on(note: Note) -> bool:
    """Whether a worker that ended has work left that only the time limit took it from."""
    return note.told == signal.SIGUSR2 and (note.status == ASKED or (note.status or 0) > 128)


def queue_again(environment: Mapping[str, str]) -> str:
    """Queue this task again; returns why that was not possible, or nothing."""
    task = f"{environment.get('SLURM_ARRAY_JOB_ID')}_{environment.get('SLURM_ARRAY_TASK_ID')}"
    try:
        said = subprocess.run(["scontrol", "requeue", task], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"The time limit came, and task {task} could not be queued again ({error}). Launch the study again."
    if said.returncode:
        words = said.stderr.strip() or "it said nothing"
        return f"The time limit came, and Slurm would not queue task {task} again ({words}). Launch the study again."
    return ""


def main(arguments: Sequence[str]) -> int:
    """Entry of the process; returns its exit status."""
    options, command = parsed(arguments)
    try:
        note = supervise(command, options.rules, log=options.log, note=options.note)
    except EradioError as error:
        complain(str(error))
        return MEND
    if goes_on(note) and (wrong := queue_again(os.environ)):
        complain(wrong)
    return MEND if note.status is None else note.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
