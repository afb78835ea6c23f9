"""Which loss teaches best, in miniature: the arms of PHI-S's Table 13 on the embedded world, with three seeds.

Named alternatives: one another. Each arm teaches the same network for the same number of steps on the same pictures;
printed are the fidelity of each head (the teacher's variance over the mean squared error) on validation pictures and
what the student can do on labelled test scenes, as means over seeds with their standard deviation, and the mean rank.
PHI-S (arXiv 2410.01680, Table 13) found, for ViT-B/16 and 300,000 steps, by mean rank from best to worst: PHI-S 2.92,
global and per-channel standardising 3.81 and 4.21, the hybrid 5.31, cosine 5.81, raw squared error 7.83.

Every student's scores are kept, so an interrupted study goes on where it was; other arms may run beside it.

    python benchmarks/loss_study.py FOLDER [steps] [arm ...]      about 4 minutes a student for 600 steps
"""

import sys
from pathlib import Path

import torch
from students import Study

from eradio.distill.recipe import Balance, Crop, Partition, Recipe, SpatialLoss, SummaryLoss

NETWORK = "e_radio_mini_s"
SEEDS = range(3)
SQUARED = SummaryLoss(cosine=0, mse=1), SpatialLoss(cosine=0, smooth_l1=0, mse=1)

ARMS: dict[str, tuple[tuple[SummaryLoss, SpatialLoss], Balance]] = {
    "raw, squared error": (SQUARED, Balance()),
    "raw, cosine": ((SummaryLoss(), SpatialLoss(cosine=1, smooth_l1=0)), Balance()),
    "raw, 0.9 cosine + 0.1 smooth-L1": ((SummaryLoss(), SpatialLoss()), Balance()),
    "per channel, squared error": (SQUARED, Balance(summary="channel", spatial="channel")),
    "PHI-S, squared error": (SQUARED, Balance(summary="phi-s", spatial="phi-s")),
}


def recipe(arm: str, seed: int, steps: int) -> Recipe:
    """Of one arm and seed."""
    (summary, spatial), balance = ARMS[arm]
    plain = Recipe(partitions=(Partition(batch=32),), crop=Crop(smallest=0.85), steps=steps, seed=seed)
    return plain.model_copy(update={"summary": summary, "spatial": spatial, "balance": balance, "targets": "cached"})


def main(folder: Path, steps: int, arms: list[str]) -> None:
    torch.set_num_threads(1)
    study = Study(folder)
    for seed in SEEDS:
        for arm in arms or ARMS:
            study.teach(f"{arm}, seed {seed}", NETWORK, recipe(arm, seed, steps))
    study.print(f"{NETWORK}, {steps} steps, batch 32", {arm: [f"{arm}, seed {seed}" for seed in SEEDS] for arm in ARMS})


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600, sys.argv[3:])
