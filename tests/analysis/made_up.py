"""Made-up records of a study, as realistic as the analysis needs them."""

import numpy as np

from eradio.interval import Interval
from eradio.profile.record import Agreement, CallTimes, Measurement, Reference
from eradio.profile.target import Target
from eradio.study.records import Comparison, CurvePoint, FinalistRecord, Score, StudyRecords, TrialRecord

HEADS = ("clip/summary", "clip/spatial", "dino/summary", "dino/spatial", "sam/spatial")
FAMILIES = {
    "resnet": "resnet10t",
    "convnext": "convnext_atto",
    "vit": "vit_tiny_patch16_224",
    "mobilenet": "mobilenetv3_small_050",
}
BLOCKS = (
    ("c2f", "c2f", "residual"),
    ("c2f", "c2f", "attention"),
    ("attention",) * 3,
    ("c2f", "attention", "attention"),
)


def around(value, spread=0.01):
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + 1.1 * spread))


def measured(rate, spread=0.01, verdict="settled"):
    latency = 8000 / rate
    times = CallTimes(
        fastest=0.97 * latency,
        quarter=0.99 * latency,
        median=latency,
        three_quarters=1.02 * latency,
        slowest=1.6 * latency,
    )
    return Measurement(
        made_at="2026-01-01T00:00:00+00:00",
        preparation_seconds=3.0,
        identity="fedcba9876543210",
        network="0123456789abcdef",
        target=Target(engine="eager"),
        environment="00112233445566ff",
        throughput=around(rate, spread),
        ratio=around(rate / 2000, spread),
        verdict=verdict,
        latency_ms=latency,
        calls=120,
        seconds=0.9,
        canary=Reference(canary="1", images_per_second=2000.0, half_width=0.003),
        parameters=812_345,
        gmacs=0.0312,
        activations=402_176,
        agreement=Agreement(cosine=1.0, max_error=2e-7),
        times=times,
        canary_times=times,
        load=0.7,
    )


def scored(loss, steps=1500):
    weights = np.linspace(0.7, 1.3, len(HEADS))
    return Score(steps=steps, loss=loss, parts={head: loss * w for head, w in zip(HEADS, weights, strict=True)})


def learned(loss, steps=1500, seed=0):
    if not np.isfinite(loss):
        return ()
    random = np.random.default_rng(seed)
    at = np.linspace(25, steps, 60).astype(int)
    values = loss + (1.3 - loss) * np.exp(-6 * at / steps) + random.normal(0, 0.012, len(at))
    return tuple(CurvePoint(step=int(s), loss=float(v), learning_rate=1e-3) for s, v in zip(at, values, strict=True))


def trial(number, rate=1000.0, loss=0.5, *, role="candidate", name=None, network=None, seed=0, **more):
    name = name or f"trial-{number}"
    blocks = BLOCKS[number % len(BLOCKS)]
    network = network or {
        "stem": {"width": 32},
        "stages": [{"kind": block, "width": 64, "depth": 2} for block in blocks],
    }
    fields = {
        "words": f"stem 32, {', '.join(blocks)}, depths 2 2 2, neck from stage 1 of 128",
        "measurement": measured(rate),
        "score": scored(loss),
        "curve": learned(loss, seed=seed),
        "seconds": 21.4,
        "manifest": {"seed": 0},
    }
    digest = f"{number:04x}{'c' if role == 'candidate' else 'b'}00000000000"
    fields |= {"role": role, "number": number, "name": name, "network_digest": digest, "network": network}
    return TrialRecord(**({"state": "complete"} | fields | more))


def failed(number, reason="The loss was not finite at step 40.", role="candidate", end="diverged"):
    return trial(number, role=role, state="failed", end=end, measurement=None, score=None, curve=(), reason=reason)


def baseline(number, family, rate, loss, **more):
    name = f"{family}-{'sml'[number % 3]}"
    network = {"name": FAMILIES[family], "options": {}}
    words = f"timm {FAMILIES[family]}, {['small', 'medium', 'large'][number % 3]}"
    return trial(number, rate, loss, role="baseline", name=name, network=network, words=words, **more)


def finalist(of, gain=0.85, score=0.62, steps=6000):
    comparisons = [
        Comparison(
            metric=metric,
            student=around(student, 0.03),
            teacher=around(teacher, 0.02),
            untrained=around(untrained, 0.1),
        )
        for metric, student, teacher, untrained in [
            ("CLIP zero-shot top-1", score, 0.78, 0.007),
            ("DINO k-NN top-1", score * 0.9, 0.70, 0.11),
            ("linear segmentation mIoU", score * 0.8, 0.61, 0.21),
            ("SAM box mask IoU", score * 1.2, 0.83, 0.41),
        ]
    ]
    return FinalistRecord(
        role=of.role,
        number=of.number,
        name=of.name,
        network_digest=of.network_digest,
        measurement=of.measurement,
        score=scored(of.score.loss * gain, steps),
        curve=learned(of.score.loss * gain, steps, seed=of.number),
        comparisons=tuple(comparisons),
    )


def study(trials=(), finalists=(), **more):
    fields = {
        "name": "tiny",
        "config": {"space": "tiny", "recipe": {"batch": 64, "rungs": [300, 1500]}, "sampler": {"seed": 0}},
        "environment": {"cpu": "A made-up CPU", "cores": 2, "gpu": None, "libraries": {"torch": "2.9.0"}},
        "digests": {"space": "aaaabbbbccccdddd", "recipe": "eeeeffff00001111"},
        "seconds": 612.0,
    }
    return StudyRecords(**(fields | more), trials=tuple(trials), finalists=tuple(finalists))


def whole(seed=0, edge=0.0):
    """A study of 30 candidates and 12 baselines; `edge` moves the candidates' losses."""
    random = np.random.default_rng(seed)
    rates = np.exp(random.uniform(np.log(220), np.log(3800), 30))
    losses = 0.28 + 0.055 * np.log2(rates / 200) + np.abs(random.normal(0, 0.06, 30)) + edge
    trials = [trial(i, float(r), float(v), seed=i) for i, (r, v) in enumerate(zip(rates, losses, strict=True))]
    trials[7] = failed(7)
    trials[19] = trial(19, float(rates[3]), float(losses[3]), duplicate_of=3, reason="The same network as trial 3.")
    for index, (family, start) in enumerate([("resnet", 520), ("convnext", 300), ("vit", 420), ("mobilenet", 600)]):
        for size in range(3):
            rate = start * 2.1**size
            loss = 0.33 + 0.06 * np.log2(rate / 200) + 0.02 * index + random.normal(0, 0.008)
            trials.append(baseline(3 * index + size, family, rate, float(loss), seed=100 + index))
    best = sorted((one for one in trials if one.score and one.role == "candidate"), key=lambda one: one.score.loss)
    base = min((one for one in trials if one.role == "baseline"), key=lambda one: one.score.loss)
    return study(trials, [finalist(best[0]), finalist(best[2]), finalist(base, score=0.55)])
