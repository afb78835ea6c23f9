"""How much faster than its teachers is E-RADIO, at the same resolution?

ViT-H/14 and ViT-g/14 (random weights, as fast as trained ones) against E-RADIO of both generations and the paper's
rivals, all at 224 pixels: on the CPU one picture a call, one thread, float32, by the fastest engine that is installed.
One process a network, each beside the canary, so that ratios of ratios have no drift; intervals of quotients come from
both intervals, combined as independent errors of logarithms. Named alternative: the teachers. The paper claims at
least 6 times, on a GPU in half precision.

Every network's record goes to a file, so an interrupted benchmark goes on where it was.

    python benchmarks/teachers_against_e_radio.py [file] [options of `eradio profile`]      about an hour

On a GPU (--device cuda --precision fp16 --batch 64) ratios to the canary differ by 1.5 to 4 % between runs, which these
intervals do not hold: there `eradio profile` of all in one run says more.
"""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from eradio.interval import Interval
from eradio.profile import Measurement, Profile
from eradio.search_space import baselines

TEACHERS = ("open_clip/ViT-H-14", "timm/vit_giant_patch14_dinov2")
STUDENTS = ("e_radio_v1_l", "e_radio_v1_b", "e_radio_l", "e_radio_b")
SIDE = 224


def profiled(name: str, options: Sequence[str]) -> Measurement | str:
    """The measurement of one network by a process of its own, or why there is none."""
    common = f"--resolution {SIDE} --batch 1 --only-throughput --json".split()
    command = [sys.executable, "-m", "eradio", "profile", name, *common, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    (row,) = Profile.model_validate_json(done.stdout).networks
    return row.measurement


def quotient(above: Interval, below: Interval) -> Interval:
    """One independent ratio over another."""
    value = above.value / below.value
    width = math.hypot(math.log(above.high / above.low) / 2, math.log(below.high / below.low) / 2)
    return Interval(value=value, low=value * math.exp(-width), high=value * math.exp(width))


def main(file: Path, options: Sequence[str]) -> None:
    names = [*TEACHERS, *STUDENTS, *(one.name for one in baselines("paper") if one.name not in STUDENTS)]
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if file.exists():
        asked, *lines = file.read_text().splitlines()
        if json.loads(asked) != list(options):
            sys.exit(f"{file} holds measurements with the options {asked}; give another file.")
        known = dict(map(json.loads, lines))
    else:
        file.write_text(json.dumps(list(options)) + "\n")
    for name in names:
        if name not in known:
            found = profiled(name, options)
            known[name] = found if isinstance(found, str) else found.model_dump(mode="json")
            with file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps([name, known[name]]) + "\n")
            print(f"{name}: {found if isinstance(found, str) else found.throughput.value}", flush=True)
    measured = {n: Measurement.parse(data, n) for n, data in known.items() if not isinstance(data, str)}
    if not measured:
        sys.exit("Nothing could be measured.")
    first = next(iter(measured.values())).target
    told = f"{first.engine} {first.precision} on {first.device}, {SIDE} px, batch {first.batch}, {first.threads} thread"
    grid = Table(title=told)
    for column in ("network", "M params", "GMACs", "images/s", *(f"times {name.split('/')[1]}" for name in TEACHERS)):
        grid.add_column(column, justify="left" if column == "network" else "right")
    for name in names:
        if name not in measured:
            grid.add_row(name, "", "", str(known[name])[:60])
            continue
        one = measured[name]
        times = [quotient(one.ratio, measured[teacher].ratio) for teacher in TEACHERS if teacher in measured]
        grid.add_row(
            name,
            f"{one.parameters / 1e6:.1f}",
            f"{one.gmacs:.2f}",
            f"{one.throughput.value:.2f}" + ("" if one.verdict == "settled" else " unsettled"),
            *(f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in times),
        )
    Console(width=130).print(grid)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/teachers-against-e-radio.jsonl"), sys.argv[2:])
