import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from eradio.distill.teachers.sam import SamConfig
from eradio.pretrain.clip import to_captions, to_pictures
from eradio.pretrain.crops import crop, patch_masks, recolour
from eradio.pretrain.data import Stream, draws
from eradio.pretrain.dino import DinoObjective, balanced
from eradio.pretrain.sam import SamObjective, choose, mask_losses
from eradio.scenes import Scenes


def test_without_repeated_captions_the_loss_is_clip_s():
    logits, matches = torch.randn(5, 5), torch.tensor([2, 0, 1, 4, 3])
    assert to_captions(logits, matches).item() == pytest.approx(cross_entropy(logits, matches).item(), rel=1e-5)
    back = matches.argsort()
    assert to_pictures(logits, matches).item() == pytest.approx(cross_entropy(logits.T, back).item(), rel=1e-5)


def test_repeated_captions_are_as_if_each_copy_stood_alone():
    logits, matches = torch.randn(4, 2), torch.tensor([0, 0, 1, 0])
    copies = logits[:, matches].log_softmax(1)
    same = (matches[:, None] == matches).float()
    unicl = -(copies * same / same.sum(1, keepdim=True)).sum(1)
    constant = same.sum(1).log()
    assert to_captions(logits, matches).item() == pytest.approx((unicl - constant).mean().item(), rel=1e-5)


def test_balanced_targets_use_every_prototype_alike():
    # Scores that all prefer the first prototype: without balancing it would take everything.
    scores = 0.1 * torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 0.5
    targets = balanced(scores, rounds=20)
    assert torch.allclose(targets.sum(1), torch.ones(256), atol=1e-5)
    assert torch.allclose(targets.mean(0), torch.full((8,), 1 / 8), atol=0.01)


def test_no_gradient_reaches_the_average_which_follows_the_student():
    torch.manual_seed(0)
    objective = DinoObjective(0, batch=4, width=32, depth=1, prototypes=8)
    objective.loss(0).backward()
    assert all(parameter.grad is None for parameter in objective.average.parameters())
    with torch.no_grad():
        for parameter in objective.student.parameters():
            parameter.add_(1)
    gap = [
        new.detach() - kept
        for kept, new in zip(objective.average.parameters(), objective.student.parameters(), strict=True)
    ]
    objective.after(0, 10)
    for before, kept, new in zip(gap, objective.average.parameters(), objective.student.parameters(), strict=True):
        assert torch.allclose(new.detach() - kept, 0.98 * before, atol=1e-5)


def test_whole_crops_return_the_picture_or_its_mirror():
    pictures = torch.rand(8, 3, 16, 16)
    views = crop(pictures, 16, (4.0, 4.0), draws(0, 0))
    for before, after in zip(pictures, views, strict=True):
        assert torch.allclose(after, before, atol=1e-5) or torch.allclose(after, before.flip(2), atol=1e-5)


def test_crops_show_what_is_in_the_picture():
    pictures = torch.linspace(0, 1, 64).expand(50, 3, 64, 64).clone()
    views = crop(pictures, 32, (0.1, 0.4), draws(0, 0))
    widths = views[..., -1].mean((1, 2)) - views[..., 0].mean((1, 2))
    assert (views >= 0).all()
    assert (views <= 1).all()
    assert widths.abs().min() > 0.2
    assert widths.abs().max() < 0.8
    assert (widths > 0).any()
    assert (widths < 0).any()


def test_recolouring_keeps_grey_grey():
    grey = torch.rand(20, 1, 8, 8).expand(-1, 3, -1, -1)
    after = recolour(grey, draws(0, 0))
    assert torch.allclose(after[:, 0], after[:, 1], atol=1e-5)
    assert not torch.allclose(after, grey, atol=0.05)


def test_hidden_patches_are_within_the_shares():
    shares = patch_masks(200, 8, (0.1, 0.5), draws(0, 0)).float().mean((1, 2))
    assert shares.min() >= 0.09
    assert shares.max() <= 0.51
    assert shares.std() > 0.05


def test_mask_losses_by_hand():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    right, wrong = 40 * (2 * truth - 1), -40 * (2 * truth - 1)
    each, overlap = mask_losses(torch.stack([right, wrong], 1), truth)
    assert overlap.tolist() == [[1, 0]]
    assert each[0, 0].item() == pytest.approx(0, abs=1e-4)
    assert each[0, 1].item() == pytest.approx(20 * 40 + 1 - 1 / 17, rel=1e-3)


def test_chosen_objects_are_visible_and_at_most_two_a_picture():
    source = Scenes("train", size=64)
    scenes = [source.scene(index) for index in range(30)]
    owners, masks = choose(scenes, draws(0, 0))
    assert owners.bincount().max() == 2
    assert masks.sum((1, 2)).min() >= 12
    for owner, mask in zip(owners.tolist(), masks, strict=True):
        assert any((mask.numpy() == seen).all() for seen in scenes[owner].masks)


def test_a_step_s_pictures_depend_on_seed_and_step_only():
    first, again, other = Stream(0, 6), Stream(0, 6), Stream(1, 6)
    assert torch.equal(first.pictures(3), again.pictures(3))
    assert not torch.equal(first.pictures(3), first.pictures(4))
    assert not torch.equal(first.pictures(3), other.pictures(3))
    assert first.digest != other.digest
    pictures, captions = first.captioned(3)
    assert torch.equal(pictures, first.pictures(3))
    assert captions == [scene.caption for scene in first.scenes(3)]


def test_swapped_pictures_show_the_same_objects_before_other_backgrounds():
    stream = Stream(0, 8, ("single-train",))
    change = (stream.swapped(0) - stream.pictures(0)).abs().mean(1)
    inside = torch.stack([torch.from_numpy(scene.semantic > 0) for scene in stream.scenes(0)])
    for picture, mask in zip(change, inside, strict=True):
        assert picture[~mask].mean() > 2 * picture[mask].mean()


def test_sam_loss_is_finite_on_any_step():
    torch.manual_seed(0)
    config = SamConfig(width=32, depth=1, heads=1, global_blocks=(0,), prompt_width=32)
    objective = SamObjective(0, batch=2, config=config)
    assert all(math.isfinite(objective.loss(step).item()) for step in range(8))
