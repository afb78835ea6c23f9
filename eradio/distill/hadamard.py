"""Hadamard matrices: orthogonal matrices whose entries all have the same magnitude.

Built from Sylvester's doubling and Paley's two constructions (Paley 1933, On orthogonal matrices) over prime fields,
which reach every width of a published teacher: 384 = 12 * 32, 768 = 12 * 64, 1024, 1152 = 36 * 32, 1280 = 20 * 64,
1408 = 44 * 32, 1536 = 12 * 128.
"""

import numpy as np
from numpy.typing import NDArray

from eradio.errors import EradioError


def hadamard(size: int) -> NDArray[np.float64]:
    """An orthonormal Hadamard matrix [size, size], entries +-1 / sqrt(size).

    Raises:
        EradioError: none of this size can be built from the constructions above.
    """
    doublings = 0
    while True:
        core = _paley(size >> doublings)
        if core is not None:
            break
        doublings += 1
        if (size >> doublings) << doublings != size:
            raise EradioError(
                f"There is no Hadamard matrix of size {size} to balance {size} channels with. "
                "Use the balance 'channel' or 'global' for this teacher."
            )
    for _ in range(doublings):
        core = np.block([[core, core], [core, -core]])
    return np.asarray(core / np.sqrt(size))


def _paley(size: int) -> NDArray[np.float64] | None:
    """Entries +-1, of size 1, 2, q + 1 for a prime q = 3 mod 4, or 2 (q + 1) for a prime q = 1 mod 4; else None."""
    if size in (1, 2):
        return np.array([[1.0, 1.0], [1.0, -1.0]])[:size, :size]
    if size % 4 == 0 and _prime(size - 1):
        return np.eye(size) + _bordered(size - 1, -1.0)
    half = size // 2
    if size % 4 == 0 and half % 4 == 2 and _prime(half - 1):
        conference = _bordered(half - 1, 1.0)
        return np.kron(conference, [[1.0, 1.0], [1.0, -1.0]]) + np.kron(np.eye(half), [[1.0, -1.0], [-1.0, -1.0]])
    return None


def _bordered(q: int, sign: float) -> NDArray[np.float64]:
    """Paley's conference matrix [q + 1, q + 1]: the quadratic characters of differences, bordered by ones."""
    characters = np.full(q, -1.0)
    characters[np.arange(1, q) ** 2 % q] = 1.0
    characters[0] = 0.0
    places = np.arange(q)
    matrix = np.zeros((q + 1, q + 1))
    matrix[0, 1:], matrix[1:, 0] = 1.0, sign
    matrix[1:, 1:] = characters[(places[:, None] - places[None, :]) % q]
    return matrix


def _prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
