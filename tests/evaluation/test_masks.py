import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.evaluation import box_masks, boxes_of, filled_boxes
from eradio.evaluation.masks import overlap


def rectangle(left, top, right, bottom):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


@given(st.tuples(*[st.integers(0, 15)] * 4))
@settings(max_examples=50, deadline=None)
def test_boxes_are_tight(ends):
    left, right = sorted(ends[:2])
    top, bottom = sorted(ends[2:])
    mask = rectangle(left, top, right + 1, bottom + 1)
    assert torch.equal(boxes_of(mask[None])[0] * 16, torch.tensor([left, top, right + 1, bottom + 1.0]))
    assert filled_boxes(mask[None], torch.tensor([0])).value == 1


def test_overlap():
    left, right = rectangle(0, 0, 8, 16), rectangle(4, 0, 12, 16)
    assert overlap(left[None], right[None]).item() == pytest.approx(4 / 12)
    nothing = torch.zeros(1, 16, 16, dtype=torch.bool)
    assert overlap(nothing, nothing).item() == 1


def test_objects_are_averaged_within_their_picture_first():
    masks = torch.stack([rectangle(0, 0, 8, 8), rectangle(8, 8, 16, 16), rectangle(0, 0, 16, 16)])
    owners = torch.tensor([0, 0, 1])
    right = torch.tensor([True, False, False])

    def decoder(maps, boxes, whose, side):
        assert torch.equal(whose, owners)
        assert side == 16
        return torch.where(right[:, None, None], 1.0, -1.0) * torch.where(masks, 1.0, -1.0)

    answer = box_masks(torch.zeros(2, 1, 4, 4), masks, owners, decoder)
    # First picture: one object right, one with the complement (IoU 0), so 1/2; second: nothing right.
    assert answer.value == pytest.approx(0.25)
