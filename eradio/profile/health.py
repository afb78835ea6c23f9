"""What is worth knowing about the machine beside a measurement, in sentences. Pure; `clocks.py` reads the machine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eradio.profile.clocks import State
from eradio.profile.nvml import Gpu
from eradio.profile.undisturbed import undisturbed_seconds
from eradio.profile.usual import Usual

_FEWEST_BLOCKS = 12
_LEAST_CHANGE = 0.05
"""Smaller changes of speed, clock or stolen time are everyday, and the ratio to the canary does not have them."""

_NEAR = 0.85
"""Share of the stored rate from which on its difference is not worth a word."""

_LEAST_SCATTER = 0.01
_NEARLY_ALL = 0.95
_BUSY = 0.25
"""Processors in use by others that are worth a word."""

_SURE = 5.0
"""A step is one where the two sides differ by this many standard errors."""


def notes(
    canary: NDArray[np.float64],
    before: State,
    after: State,
    unit: float | None = None,
    usual: Usual | None = None,
    share: float = 1.0,
    gpu: Sequence[Gpu] = (),
) -> tuple[str, ...]:
    """What happened to the machine during a run, one sentence a finding; empty if nothing did.

    Args:
        canary: [n] seconds of one call of the canary in each of its blocks, in their order.
        before: the machine just before the run.
        after: the machine just after it.
        unit: seconds of one call of the canary by its stored rate; None if that is not known.
        usual: the same on the undisturbed machine; None if that is not known.
        share: of the canary's blocks that saw the machine undisturbed.
        gpu: the GPU again and again during the run; before and after it would be idle.
    """
    return (
        *_slow(canary, unit),
        *_left_out(canary, usual, share),
        *_between_runs(usual),
        *_speed(canary),
        *_others(before, after),
        *_stolen(before, after),
        *_clock("processor's", before.cpu_mhz, after.cpu_mhz),
        *_gpu(gpu),
    )


def _left_out(canary: NDArray[np.float64], usual: Usual | None, share: float) -> tuple[str, ...]:
    if share == 0 and usual is not None:
        slower = undisturbed_seconds(canary) / usual.seconds - 1
        return (
            f"Even the canary's fastest calls were {slower:.0%} slower than usual here: the machine was never "
            "undisturbed, and on a quiet one the ratio may differ.",
        )
    if 0 < share < _NEARLY_ALL:
        return (
            f"The machine had several states; {share:.0%} of the canary's blocks saw it undisturbed, and the ratio is "
            "that of each network's fastest blocks.",
        )
    return ()


def _between_runs(usual: Usual | None) -> tuple[str, ...]:
    if usual is None or usual.scatter < _LEAST_SCATTER:
        return ()
    return (
        f"The canary's fastest calls differ by {usual.scatter:.1%} from run to run on this machine; intervals allow "
        "for half of that, and cannot become narrower.",
    )


def _slow(canary: NDArray[np.float64], unit: float | None) -> tuple[str, ...]:
    """Networks do not slow down alike, so a ratio belongs to the state of the machine that it was taken in."""
    share = 1.0 if unit is None else unit / float(np.median(canary))
    if share * _NEAR > 1:
        return (
            f"The canary ran at {share:.0%} of its stored rate, which was taken on a busier machine: images/s are too "
            "low by as much, ratios are not. Remove canary.json from the cache folder to take it anew.",
        )
    if share >= _NEAR:
        return ()
    return (
        f"The canary ran at {share:.0%} of its stored rate: the machine is busy or throttled, or that rate was taken "
        "at a higher clock (then remove canary.json from the cache folder).",
    )


def _speed(canary: NDArray[np.float64]) -> tuple[str, ...]:
    """A step where there is a sharp one, else a change from third to third that is more than the usual spread."""
    if len(canary) < _FEWEST_BLOCKS:
        return ()
    logs = np.log(canary)
    place, jump = _step(logs)
    if jump:
        return (f"The machine got {_change(jump)} at one stroke, {place / len(logs):.0%} into the run.",)
    thirds = np.array_split(logs, 3)
    middles = np.array([np.median(third) for third in thirds])
    usual = float(np.median([np.subtract(*np.quantile(third, [0.75, 0.25])) for third in thirds]))
    if np.ptp(middles) <= max(usual, _LEAST_CHANGE):
        return ()
    said = " to ".join(f"{1e3 * np.exp(middle):.3g}" for middle in middles)
    return (f"The canary's speed changed from third to third of the run, {said} ms a call: throttling or neighbours.",)


def _step(logs: NDArray[np.float64]) -> tuple[int, float]:
    """Where two neighbouring stretches of a tenth of the run differ most, and by how much; 0 if not surely.

    The error of a stretch's median comes from the differences of neighbours, which a step or drift hardly enlarges.
    """
    width = max(_FEWEST_BLOCKS // 2, len(logs) // 10)
    stretches = np.median(np.lib.stride_tricks.sliding_window_view(logs, width), axis=1)
    jumps = stretches[width:] - stretches[:-width]
    at = int(np.argmax(np.abs(jumps)))
    noise = float(np.median(np.abs(np.diff(logs)))) / 0.954
    error = noise * np.sqrt(np.pi / width)
    jump = float(jumps[at])
    drifting = abs(jump) < 0.6 * float(np.ptp(stretches))
    return (0, 0.0) if drifting or abs(jump) <= max(_SURE * error, 2 * _LEAST_CHANGE) else (at + width, jump)


def _others(before: State, after: State) -> tuple[str, ...]:
    busy = _rate(before.others, after.others, before, after)
    if busy <= _BUSY:
        return ()
    return (
        f"Other processes used {busy:.1f} processors meanwhile; caches and cores shared with them make ratios wander "
        "by several per cent from run to run.",
    )


def _stolen(before: State, after: State) -> tuple[str, ...]:
    share = _rate(before.stolen, after.stolen, before, after)
    if share <= _LEAST_CHANGE:
        return ()
    return (f"The host gave {share:.0%} of one processor's time to other virtual machines (steal time).",)


def _rate(first: float | None, last: float | None, before: State, after: State) -> float:
    """Growth of a counter a second; 0 where it is not known."""
    if first is None or last is None or after.seconds <= before.seconds:
        return 0.0
    return (last - first) / (after.seconds - before.seconds)


def _gpu(seen: Sequence[Gpu]) -> tuple[str, ...]:
    told: list[str] = []
    clocks = [one.sm_mhz for one in seen if one.sm_mhz]
    if len(clocks) >= 3:
        first, _, last = (float(np.median(third)) for third in np.array_split(clocks, 3))
        told += _clock("GPU's", first, last)
    held = [one for one in seen if one.reasons]
    if held:
        reasons = sorted({reason for one in held for reason in one.reasons})
        told.append(f"The GPU held its clock back {len(held) / len(seen):.0%} of the time: {', '.join(reasons)}.")
        if seen[-1].celsius is not None and seen[-1].watts is not None:
            told.append(f"The GPU ended at {seen[-1].celsius:.0f} °C and {seen[-1].watts:.0f} W.")
    return tuple(told)


def _clock(whose: str, before: float | None, after: float | None) -> tuple[str, ...]:
    if not before or not after or abs(after / before - 1) <= _LEAST_CHANGE:
        return ()
    return (f"The {whose} clock went from {before:,.0f} to {after:,.0f} MHz.",)


def _change(jump: float) -> str:
    factor = float(np.exp(jump))
    return f"{factor - 1:.0%} slower" if factor > 1 else f"{1 / factor - 1:.0%} faster"
