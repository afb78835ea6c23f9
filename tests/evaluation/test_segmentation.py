import pytest
import torch

from eradio.evaluation import grouped, segmentation


def world(seed, count, noise):
    """Label maps of 4 by 4 blocks, and maps whose channels carry the class through a random linear mix."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (count, 4, 4), generator=random)
    labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    mix = torch.randn(3, 10, generator=torch.Generator().manual_seed(99))
    maps = mix[coarse].permute(0, 3, 1, 2) + noise * torch.randn(count, 10, 4, 4, generator=random)
    return maps, labels


def test_separable_maps_score_high_and_noise_low():
    good = segmentation(*world(0, 60, 0.1), *world(1, 60, 0.1), classes=3)
    (_, known), (_, asked) = world(0, 60, 0), world(1, 60, 0)
    bad = segmentation(torch.randn(60, 10, 4, 4), known, torch.randn(60, 10, 4, 4), asked, classes=3)
    assert good.value > 0.75
    assert bad.value < 0.35
    assert good.low <= good.value <= good.high


def test_scale_and_offset_of_features_do_not_matter():
    known, asked = world(0, 40, 1.0), world(1, 40, 1.0)
    plain = segmentation(*known, *asked, classes=3)
    moved = segmentation(known[0] * 50 + 7, known[1], asked[0] * 50 + 7, asked[1], classes=3)
    assert moved.value == pytest.approx(plain.value, abs=1e-3)


def test_mean_iou_by_hand():
    """Two pictures; the probe learns channel = class, so an exchanged map is wrong everywhere."""
    labels = torch.zeros(4, 8, 8, dtype=torch.long)
    labels[2:] = 1
    maps = torch.nn.functional.one_hot(labels[:, ::4, ::4], 2).permute(0, 3, 1, 2).float()
    asked = labels[[0, 0, 2, 2]]
    answer = segmentation(maps, labels, maps[[0, 2, 2, 2]], asked, classes=2)
    # Class 0: one picture of two found, none in excess: 1/2. Class 1: two found, one in excess: 2/3.
    assert answer.value == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_groups_are_contiguous_balanced_and_keep_the_background():
    semantic = torch.arange(156)[None, None]
    labels = grouped(semantic, kinds=155)[0, 0]
    assert labels[0] == 0
    assert (labels.diff() >= 0).all()
    sizes = labels[1:].bincount()[1:]
    assert len(sizes) == 8
    assert sizes.max() - sizes.min() <= 1
