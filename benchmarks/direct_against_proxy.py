"""Is a small student taught better by the experts themselves, or by a larger student of theirs?

EUPE (arXiv 2603.22387) distils experts into one proxy and small students from the proxy alone. Named alternative: the
same student taught directly by the three shipped teachers, for the same steps and batches. The proxy is taught first,
for four times as many steps; its cost is printed apart. A student of the proxy answers in the experts' place through
its proxy head and then the proxy's own heads, so both arms are scored alike; three seeds.

    python benchmarks/direct_against_proxy.py FOLDER [steps]      about 40 minutes for 600
"""

import sys
from pathlib import Path

import torch
from students import Study

from eradio.distill.recipe import Crop, Partition, Recipe
from eradio.distill.teachers import TeacherSpec

STUDENT, PROXY = "e_radio_mini_s", "e_radio_mini"
SEEDS = range(3)


def main(folder: Path, steps: int) -> None:
    torch.set_num_threads(1)
    plain = Recipe(partitions=(Partition(batch=32),), crop=Crop(smallest=0.85), steps=steps, targets="cached")
    study = Study(folder)
    study.teach("proxy", PROXY, plain.model_copy(update={"steps": 4 * steps}))
    spec = TeacherSpec(kind="student", name="proxy", weights=str(study.folder("proxy")), resolution=64)
    arms: dict[str, list[str]] = {"proxy itself": ["proxy"], "direct": [], "through the proxy": []}
    for seed in SEEDS:
        seeded = plain.model_copy(update={"seed": seed})
        study.teach(f"direct, seed {seed}", STUDENT, seeded)
        study.teach(
            f"through the proxy, seed {seed}", STUDENT, seeded.model_copy(update={"teachers": (spec,)}), "proxy"
        )
        for arm in ("direct", "through the proxy"):
            arms[arm].append(f"{arm}, seed {seed}")
    study.print(f"{STUDENT} for {steps} steps; the proxy is {PROXY} after {4 * steps}", arms)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600)
