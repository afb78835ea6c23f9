"""How far two orders of the same things agree."""

import numpy as np
from numpy.typing import NDArray

from eradio.interval import Interval


def tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Kendall's tau-b (Kendall 1945): pairs in the same order less pairs in the other, ties apart.

    Args:
        first: [n] values.
        second: [n] values of the same things.
    """
    upper = np.triu_indices(len(first), 1)
    a, b = (np.sign(values[:, None] - values[None, :])[upper] for values in (first, second))
    norm = np.sqrt(np.sum(a != 0) * np.sum(b != 0))
    return float(np.sum(a * b) / norm) if norm else 0.0


def tau_draws(
    first: NDArray[np.float64], second: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """[resamples] tau-b of things drawn with putting back."""
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, len(first), len(first)) for _ in range(resamples))
    return np.array([tau(first[one], second[one]) for one in drawn])


def tau_in_bands(
    first: NDArray[np.float64], second: NDArray[np.float64], bands: list[NDArray[np.intp]], resamples: int = 1000
) -> Interval:
    """Mean of the taus within some bands, with the percentile interval of a bootstrap within each.

    Things of one band cost about the same, so that agreement on what costs much and what little does not count.

    Args:
        first: [n] values.
        second: [n] values of the same things.
        bands: indices of the things of each band.
        resamples: number of bootstrap resamples.
    """
    values = [tau(first[band], second[band]) for band in bands]
    draws = [
        tau_draws(first[band], second[band], resamples=resamples, seed=number) for number, band in enumerate(bands)
    ]
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    return Interval(value=float(np.mean(values)), low=float(low), high=float(high))
