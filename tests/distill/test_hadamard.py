"""Hadamard matrices of every width a published teacher has."""

import numpy as np
import pytest

from eradio.distill.hadamard import hadamard
from eradio.errors import EradioError

TEACHERS = (384, 512, 640, 768, 896, 1024, 1152, 1280, 1408, 1536, 1664, 1792, 2048, 4096)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 12, 20, 28, 36, 44, 60, 104, 128, 192, 256, *TEACHERS])
def test_rows_are_orthonormal_and_entries_equally_large(size: int) -> None:
    matrix = hadamard(size)
    assert np.abs(matrix @ matrix.T - np.eye(size)).max() < 1e-12
    assert np.allclose(np.abs(matrix), size**-0.5, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [3, 6, 10, 92, 250])
def test_a_width_without_one_is_refused_in_words(size: int) -> None:
    with pytest.raises(EradioError, match=f"no Hadamard matrix of size {size}"):
        hadamard(size)
