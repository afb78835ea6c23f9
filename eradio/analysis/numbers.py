"""Numbers as people read them, the same in the terminal, the sentences and the page."""

import math

from eradio.interval import Interval


def number(value: float, digits: int = 3) -> str:
    """Rounded to `digits` significant digits, with thousands separated and no exponent in everyday ranges."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    if abs(rounded) < 1e-4:
        return f"{rounded:.{digits - 1}e}"
    return f"{rounded:,.{max(0, places)}f}"


def plus_minus(interval: Interval) -> str:
    """The value and the larger of the distances to its interval's ends, rounded to the same place."""
    reach = max(interval.high - interval.value, interval.value - interval.low)
    if not math.isfinite(reach) or reach <= 0 or interval.value == 0:
        return number(interval.value, 4)
    # Two digits of the uncertainty, at most four of the value and four decimals.
    size = math.floor(math.log10(abs(interval.value)))
    places = max(0, min(1 - math.floor(math.log10(reach)), 3 - size, 4))
    return f"{interval.value:,.{places}f} ± {reach:,.{places}f}"


def between(interval: Interval) -> str:
    """The value with both ends of its interval, for text."""
    return f"{number(interval.value, 4)} ({number(interval.low, 4)} to {number(interval.high, 4)})"


def counted(amount: int, noun: str) -> str:
    """`1 network`, `2 networks`."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def lasting(seconds: float | None) -> str:
    """A duration in the unit in which it has one to three digits."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
