"""Which windows an input size asks for: as large as the network was made for, and fitting the maps."""

from collections.abc import Sequence
from itertools import product
from math import lcm
from typing import TypeGuard

from eradio.description import Description
from eradio.errors import EradioError
from eradio.search_space.architecture import (
    Architecture,
    AttentionStage,
    Stage,
    Window,
    is_windowed,
    subsampling,
    window_sides,
)
from eradio.search_space.maps import Side, round_up
from eradio.search_space.transformer import fitting_side


class StageWindow(Description):
    """What a stage's windows are at one input size."""

    stage: int
    side: tuple[int, int]
    """Sides of the stage's map, in positions."""
    window: tuple[int, int]
    waste: float
    """Positions that are computed only because the map does not fit the windows, over those of the map."""


def fit_windows(architecture: Architecture, side: Side) -> Architecture:
    """The same network with the windows that suit pictures of `side` (height, width) pixels.

    For each stage and direction, windows are never smaller than the stage's own (or than the map). Among those the
    one is taken that minimises predicted cost, in multiply-accumulates over those of a map cut without waste, plus
    waste, the share of positions computed for nothing. So a prime number of positions is one large window, or a
    slightly resized map, never windows of one.
    """
    maps = (map_side(architecture, index, side) for index in range(len(architecture.stages)))
    windows = [
        _best(stage, here) if _has_windows(stage) else None
        for stage, here in zip(architecture.stages, maps, strict=True)
    ]
    return _with_windows(architecture, windows)


def with_window(architecture: Architecture, window: Window) -> Architecture:
    """The same network with this window in every stage that has windows; a state dict of one fits the other.

    Raises:
        EradioError: a window has a side below 1.
    """
    return _with_windows(architecture, [window if _has_windows(stage) else None for stage in architecture.stages])


def choose_windows(architecture: Architecture, side: Side, choice: str) -> Architecture:
    """The same network with the windows a user asks for: "own", "fit" (see `fit_windows`), or a side for all stages.

    Raises:
        EradioError: the choice is none of these.
    """
    if choice == "own":
        return architecture
    if choice == "fit":
        return fit_windows(architecture, side)
    if not choice.isdigit():
        raise EradioError(f"--window must be 'own', 'fit' or a number of positions, not '{choice}'.")
    return with_window(architecture, int(choice))


def windows_in_words(windows: Sequence[StageWindow]) -> str:
    """Every stage's windows, and how much they add to its map."""
    return "; ".join(
        f"{one.window[0]}x{one.window[1]} on the {one.side[0]}x{one.side[1]} map of stage {one.stage}"
        + (f" ({one.waste:.0%} more positions than it has)" if one.waste else "")
        for one in windows
    )


def windows_at(architecture: Architecture, side: Side) -> tuple[StageWindow, ...]:
    """The windows of every stage that has any, and what they waste on pictures of `side` pixels."""
    found = []
    for index, stage in enumerate(architecture.stages):
        if _has_windows(stage):
            here, window = map_side(architecture, index, side), window_sides(stage.window or 1)
            found.append(StageWindow(stage=index, side=here, window=window, waste=_waste(stage, here, window)))
    return tuple(found)


def map_side(architecture: Architecture, stage: int, side: Side) -> Side:
    """Sides of a stage's map for pictures of `side` pixels, which are padded to the total stride."""
    total, stride = architecture.total_stride(), 4 << stage
    return round_up(side[0], total) // stride, round_up(side[1], total) // stride


def _has_windows(stage: Stage) -> TypeGuard[AttentionStage]:
    return isinstance(stage, AttentionStage) and stage.window is not None


def _with_windows(architecture: Architecture, windows: Sequence[Window | None]) -> Architecture:
    data = architecture.model_dump()
    for stage, window in zip(data["stages"], windows, strict=True):
        if window is not None:
            stage["window"] = window
    return Architecture.parse(data, "The window")


def _best(stage: AttentionStage, side: Side) -> Side:
    least = window_sides(stage.window or 1)
    multiple = _multiple(stage)
    rows, columns = (
        range(min(low, largest), largest + 1)
        for low, largest in zip(least, (-(-length // multiple) for length in side), strict=True)
    )
    return min(product(rows, columns), key=lambda window: (_score(stage, side, window), window))


def _score(stage: AttentionStage, side: Side, window: Side) -> float:
    positions, width = side[0] * side[1], stage.width
    tokens = sum(1 / subsampling(entry) ** 2 for entry in stage.pattern)
    windowed = sum(1 / subsampling(entry) ** 2 for entry in stage.pattern if is_windowed(entry))
    products = tokens * (4 + 2 * stage.mlp_ratio) * width
    products += width * sum(_convolution(stage, entry) for entry in stage.pattern)
    waste = _waste(stage, side, window)
    attention = windowed * 2 * window[0] * window[1]
    whole = windowed * 2 * min(positions, window_sides(stage.window or 1)[0] ** 2)
    return (1 + waste) * (products + attention) / (products + whole) + waste


def _convolution(stage: AttentionStage, entry: str) -> float:
    """Multiply-accumulates of an entry's convolutions, for each position and pair of channels."""
    if subsampling(entry) > 1:
        return 2 if stage.enter == "conv" else 2 / subsampling(entry) ** 2
    if entry != "local" or stage.local_conv == "none":
        return 0
    return 9 if stage.local_conv == "dense" else 9 / stage.width


def _waste(stage: AttentionStage, side: Side, window: Side) -> float:
    """Positions of all entries' maps over those of maps that fit, less one; a stage that pads does so in each block."""
    computed = needed = 0.0
    for entry in stage.pattern:
        if stage.fit == "resize":
            height, width = fitting_side(side, window, _multiple(stage))
        else:
            height, width = fitting_side(side, window, subsampling(entry)) if is_windowed(entry) else side
        computed += height * width / subsampling(entry) ** 2
        needed += side[0] * side[1] / subsampling(entry) ** 2
    return computed / needed - 1


def _multiple(stage: AttentionStage) -> int:
    return lcm(*map(subsampling, stage.pattern))
