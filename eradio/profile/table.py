"""A profile for a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eradio.interval import Interval
from eradio.profile.latency import Latency
from eradio.profile.memory import LargestBatch
from eradio.profile.profile import Profile, Profiled
from eradio.profile.roofline import Roofline
from eradio.profile.shares import Share
from eradio.search_space.windows import windows_in_words

_NOTHING = "-"


def tables(profile: Profile) -> list[RenderableType]:
    """What was measured and how sure it is, what it costs, and why."""
    explained = [row for row in profile.networks if row.explanation is not None]
    shown: list[RenderableType] = [_throughput(profile)]
    if explained:
        shown += [_costs(explained), *(Text(line) for row in explained for line in _reasons(row))]
    for name, found in profile.largest_batch.items():
        side = profile.networks[0].measurement.target.resolution
        shown.append(Text(f"{name} at {side} px: {_largest(found)}"))
    return shown


def _largest(found: LargestBatch) -> str:
    if not found.pictures:
        one = {
            "no memory": "not one picture a call fits the memory that is free.",
            "too slow": "one picture a call took too long to try.",
        }
        return one.get(found.beyond, "the engine failed on one picture a call, in a process of its own.")
    beyond = {
        "no memory": "a sixteenth more do not",
        "too slow": "a sixteenth more took too long to try",
        "refused": "with a sixteenth more the engine failed",
        "not tried": "no more were tried",
    }
    return f"{found.pictures:,} pictures a call fit the memory that is free; {beyond[found.beyond]}."


def _throughput(profile: Profile) -> Table:
    rows = profile.networks
    targets = {row.measurement.target: None for row in rows}
    several, rivals = len(targets) > 1, len(rows) > len(targets)
    grid = Table(caption=_caption(profile), caption_justify="left")
    grid.add_column("network", overflow="fold")
    ratio = "× first" if rivals else "× canary"
    headings = [*(["px", "batch"] if several else []), "images/s", "95 % interval", ratio, "ms a call"]
    for heading in [*headings, *(["rank"] if rivals else [])]:
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("verdict", no_wrap=True)
    for row in rows:
        found = row.measurement
        images = found.throughput
        places = 1 if images.value < 100 else 0
        grid.add_row(
            Text(row.name),
            *([str(found.target.resolution), str(found.target.batch)] if several else []),
            f"{images.value:,.{places}f}",
            f"{images.low:,.{places}f} to {images.high:,.{places}f}",
            _times(found.against_first if rivals else found.ratio),
            f"{found.latency_ms:.2f}",
            *([row.rank.words()] if rivals else []),
            found.verdict if found.undisturbed != 0 else "disturbed",
        )
    return grid


def _times(ratio: Interval | None) -> str:
    return "1" if ratio is None else f"{ratio.value:.4g} ± {ratio.half_width():.1%}"


def _caption(profile: Profile) -> Text:
    first = profile.networks[0].measurement.target
    plural = "s" * (first.threads > 1)
    one = len({(row.measurement.target.batch, row.measurement.target.resolution) for row in profile.networks}) == 1
    where = f", batch {first.batch}, {first.resolution} px" if one else ""
    lines = [
        f"{first.engine} {first.precision} on {first.device}{where}, {first.threads} thread{plural}",
        *([profile.engine_choice] if profile.engine_choice else []),
        *([f"int8 calibrated on {profile.calibration}"] if profile.calibration else []),
    ]
    for row in profile.networks:
        found, side = row.measurement, row.measurement.target.resolution
        label = row.name if one else f"{row.name} at {side} px"
        lines += [f"{label}: windows {windows_in_words(found.windows)}"] if found.windows else []
        lines += [f"{label}: {note}" for note in found.notes]
        lines += [f"{label}: left to PyTorch: {part}" for part in found.facts.fallback]
    if any(row.measurement.verdict == "unsettled" for row in profile.networks):
        lines.append("unsettled: the interval was wider than asked for when time was up")
    if any(row.measurement.undisturbed == 0 for row in profile.networks):
        lines.append("disturbed: the machine was never as fast as usual, and the interval is of that machine alone")
    if any(row.measurement.against_first for row in profile.networks):
        lines.append(f"× first: images/s over those of {profile.networks[0].name} in the same run")
    if any(row.rank.best != row.rank.worst for row in profile.networks):
        lines.append("a range of ranks: intervals overlap, so these networks are not told apart")
    return Text("\n".join(dict.fromkeys(lines)))


def _costs(rows: Sequence[Profiled]) -> Table:
    energy = any(row.explanation and row.explanation.joules_a_picture for row in rows)
    several = len({(row.measurement.target.resolution, row.measurement.target.batch) for row in rows}) > 1
    grid = Table(caption="p50 / p90 / p99: elapsed milliseconds of single calls at batch 1", caption_justify="left")
    grid.add_column("network", overflow="fold")
    headings = [
        *(["px × batch"] if several else []),
        "M params",
        "GMACs",
        "M act.",
        "MB weights",
        "MB peak",
        *(["J/picture"] if energy else []),
    ]
    for heading in [*headings, "p50 / p90 / p99 ms", "s to prepare"]:
        grid.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        found, why = row.measurement, row.explanation
        assert why is not None
        cells = [
            *([f"{found.target.resolution} × {found.target.batch}"] if several else []),
            f"{found.parameters / 1e6:.2f}",
            _or_nothing(found.gmacs, 1, ".3f"),
            _or_nothing(found.activations, 1e6, ".2f"),
            _or_nothing(why.weights_bytes, 1e6, ",.1f"),
            _or_nothing(why.peak_bytes, 1e6, ",.0f"),
            *([_or_nothing(why.joules_a_picture, 1, ".3g")] if energy else []),
            _quantiles(why.latency),
            f"{found.preparation_seconds:.1f}",
        ]
        grid.add_row(Text(row.name), *cells)
    return grid


def _reasons(row: Profiled) -> Iterable[str]:
    why = row.explanation
    assert why is not None
    label = f"{row.name}, {row.measurement.target.resolution} px, batch {row.measurement.target.batch}"
    if why.shares is not None:
        yield f"{label}, time in eager by stage: {_shares(why.shares.stages)}"
        yield f"{label}, time in eager by kind: {_shares(why.shares.kinds)}"
    if why.peak_missing is not None:
        yield f"{label}, no peak of memory: {why.peak_missing}"
    if why.latency_missing is not None:
        yield f"{label}, no latency at batch 1: {why.latency_missing}"
    if why.latency is not None and (missing := why.latency.missing()) is not None:
        yield f"{label}: {missing}"
    if why.layers:
        slowest = sorted(why.layers, key=lambda layer: -layer.milliseconds)[:5]
        told = ", ".join(f"{layer.name} {layer.milliseconds:.3f} ms" for layer in slowest)
        yield f"{label}, slowest layers by the engine's own account: {told}"
    facts = row.measurement.facts
    if facts.artifact_bytes is not None:
        built = "" if facts.build_seconds is None else f", built in {facts.build_seconds:.0f} s"
        pinned = "" if facts.timing_cache is None else f", timing cache {facts.timing_cache[:12]}"
        yield f"{label}, artifact: {facts.artifact_bytes / 1e6:,.1f} MB{built}{pinned}"
    if why.roofline is not None:
        yield f"{label}, roofline: {_roofline(why.roofline)}"


def _shares(shares: Sequence[Share]) -> str:
    return ", ".join(f"{one.name} {one.share:.0%}" for one in shares if one.share >= 0.005)


def _roofline(under: Roofline) -> str:
    roof = under.roof
    return (
        f"{under.gflops:,.3g} GFLOP/s, {under.share:.0%} of what is attainable at {under.intensity:,.3g} FLOP/byte "
        f"({under.bound}-bound; at best {roof.gflops:,.0f} GFLOP/s and {roof.gigabytes_per_second:,.3g} GB/s)"
    )


def _quantiles(latency: Latency | None) -> str:
    if latency is None:
        return _NOTHING
    known = (latency.p50, latency.p90, latency.p99)
    return " / ".join(_NOTHING if one is None else f"{one.value:.2f}" for one in known)


def _or_nothing(value: float | None, unit: float, form: str) -> str:
    return _NOTHING if value is None else format(value / unit, form)
