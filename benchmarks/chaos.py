"""Does a study come to the same end, whatever befalls its workers and its database?

A list of small networks is taught twice, in PostgreSQL: by two workers that nobody disturbs, and by eight that are
killed, paused for longer than their leases, asked to end, left without room on the disk and cut off from a database
that stops and crashes, at random times. Some of them are under a Slurm that queues them again, if one can be started
here. Then nobody disturbs them any more, and what is left is compared. What was decided at each rung is taken from the
undisturbed study, since it depends on who comes first. Ends with status 1 if anything is not as it must be.

    python -m benchmarks.chaos [--minutes 10] [--candidates 400] [--workers 8] [--seed 0] [--folder FOLDER]
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.services import private_postgres
from tests.slurm_node import missing, private_slurm
from tests.study.chaos.course import Outcome, chaos


def shown(outcome: Outcome) -> list[Table]:
    """Three tables: what was done, what came of it, what was checked."""
    done, facts, checked = (
        Table(title, "", box=None) for title in ("what was done", "what came of it", "what must be")
    )
    for name, count in sorted(outcome.done.items()):
        done.add_row(name, str(count))
    for name, count in outcome.facts.items():
        facts.add_row(name, str(count))
    for name, sentences in outcome.wrong.items():
        checked.add_row(name, f"NOT SO, {len(sentences)} times" if sentences else "is so")
    return [done, facts, checked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--candidates", type=int, default=400)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=4.0, help="seconds between two disturbances")
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="eradio-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    console = Console(width=120)
    # Also then the servers that it started are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("It was asked to end."))
    console.print(f"{folder / 'actions.log'} tells what is done when.", markup=False)
    with ExitStack() as stack:
        server = stack.enter_context(private_postgres())
        slurm = None if missing() else stack.enter_context(private_slurm())
        outcome = chaos(
            folder,
            server,
            seconds=given.minutes * 60,
            candidates=given.candidates,
            workers=given.workers,
            seed=given.seed,
            every=given.every,
            slurm=slurm,
        )
    console.print(*shown(outcome), sep="\n\n")
    for name, sentences in outcome.wrong.items():
        for sentence in sentences:
            console.print(f"{name}: {sentence}", markup=False)
    sys.exit(any(outcome.wrong.values()))


if __name__ == "__main__":
    main()
