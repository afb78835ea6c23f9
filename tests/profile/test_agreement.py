import numpy as np
import pytest

from eradio.errors import EradioError
from eradio.profile.agreement import agreement

REFERENCE = (np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 16), np.ones((4, 3), np.float32))


def changed(place, value):
    outputs = tuple(output.copy() for output in REFERENCE)
    outputs[place].flat[5] = value
    return outputs


def test_equal_outputs_agree():
    found = agreement(REFERENCE, REFERENCE, "x")
    assert found.cosine == pytest.approx(1.0)
    assert found.max_error == 0.0


def test_rounding_passes_and_is_reported():
    found = agreement(changed(1, 1.0001), REFERENCE, "x")
    assert found.max_error == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("outputs", [changed(0, 0.9), changed(1, 1.02), changed(1, np.nan), changed(0, np.inf)])
def test_one_wrong_element_in_any_output_is_refused(outputs):
    with pytest.raises(EradioError, match=r"Engine 'x' in fp32 disagrees with eager: .* not recorded"):
        agreement(outputs, REFERENCE, "x")


def test_a_coarser_precision_may_be_further_off_but_not_wrong():
    for precision, near, far in [("bf16", 1.05, 1.2), ("fp16", 1.03, 1.1), ("int8", 1.2, 2.0)]:
        agreement(changed(1, near), REFERENCE, "x", precision)
        with pytest.raises(EradioError, match=f"Engine 'x' in {precision} disagrees"):
            agreement(changed(1, far), REFERENCE, "x", precision)


@pytest.mark.parametrize("outputs", [(), REFERENCE[:1], (REFERENCE[0].T, REFERENCE[1])])
def test_missing_outputs_and_other_shapes_are_refused(outputs):
    with pytest.raises(EradioError, match="outputs of shapes"):
        agreement(outputs, REFERENCE, "x")


def test_outputs_of_zeros_agree_with_zeros_only():
    zeros = (np.zeros((2, 2), np.float32),)
    assert agreement(zeros, zeros, "x").cosine == 1.0
    with pytest.raises(EradioError):
        agreement((zeros[0] + 1,), zeros, "x")
