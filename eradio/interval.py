"""A value with its 95 % interval, and the block bootstrap that gives it."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eradio.description import Description

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Interval(Description):
    """A point estimate and the ends of its 95 % interval, all in the same unit."""

    value: float
    low: float
    high: float

    def half_width(self) -> float:
        """Half the interval's length, relative to the value."""
        return (self.high - self.low) / 2 / abs(self.value) if self.value else float("inf")

    def overlaps(self, other: "Interval") -> bool:
        """Whether the two intervals share a point, so that the values must not be ranked."""
        return self.low <= other.high and other.low <= self.high

    def scaled(self, factor: float) -> "Interval":
        """The same interval in another unit."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(value=self.value * factor, low=low, high=high)

    def with_error(self, reach: float) -> "Interval":
        """With a further, independent error whose own 95 % interval reaches so far to both sides."""
        return Interval(
            value=self.value,
            low=self.value - math.hypot(self.value - self.low, reach),
            high=self.value + math.hypot(self.high - self.value, reach),
        )

    def exponential(self) -> "Interval":
        """From logarithms back to what they are logarithms of."""
        return Interval(value=math.exp(self.value), low=math.exp(self.low), high=math.exp(self.high))


def bootstrap_interval(
    samples: NDArray[np.float64],
    statistic: Statistic,
    *,
    block: int = 1,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic by the circular block bootstrap; see `bootstrap_draws`."""
    drawn = bootstrap_draws(samples, statistic, block=block, resamples=resamples, seed=seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value=float(statistic(samples[None])[0]), low=float(low), high=float(high))


def bootstrap_draws(
    samples: NDArray[np.float64],
    statistic: Statistic,
    *,
    block: int = 1,
    resamples: int = 1000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """A statistic of resamples drawn by the circular block bootstrap (Politis and Romano, 1992): [resamples].

    Args:
        samples: [n] or [n, ...] values in the order in which they were taken.
        statistic: maps [resamples, n, ...] to [resamples], reducing over the second axis.
        block: length of the blocks drawn together; above 1 where neighbours are correlated.
        resamples: number of bootstrap resamples.
        seed: the draws are a pure function of the samples and this number.

    Raises:
        ValueError: there is no sample, or the block is longer than the samples.
    """
    count = len(samples)
    if not 1 <= block <= count:
        raise ValueError(f"a block of {block} does not fit {count} samples")
    random = np.random.default_rng(seed)
    starts = random.integers(0, count, size=(resamples, -(-count // block)))
    places = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :count] % count
    return statistic(samples[places])


def median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over the second axis: a `Statistic`."""
    return np.median(samples, axis=1)


def mean(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the second axis: a `Statistic`."""
    return np.asarray(np.mean(samples, axis=1))
