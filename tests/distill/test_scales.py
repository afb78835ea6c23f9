"""Teachers' scales: measured over the first training pictures, kept, and undone by the heads."""

from pathlib import Path

import pytest
import torch

from eradio.distill.cache import CachedTargets
from eradio.distill.data import open_data
from eradio.distill.heads import Heads, TeacherShape
from eradio.distill.pages import Page
from eradio.distill.recipe import Balance, BalanceKind, Partition, Recipe, SummaryLoss
from eradio.distill.scales import Scale, measured_scales, read_scales, write_scales
from eradio.distill.targets import LiveTargets
from eradio.errors import EradioError
from eradio.features import Features

BALANCE = Balance(summary="channel", spatial="phi-s", pictures=60)
RECIPE = Recipe(partitions=(Partition(batch=20),), validation=4, steps=2, balance=BALANCE, stored="float32")


@pytest.fixture(scope="module")
def asked() -> LiveTargets:
    torch.set_num_threads(1)
    return LiveTargets(RECIPE, *open_data(RECIPE))


@pytest.fixture(scope="module")
def live(asked: LiveTargets) -> LiveTargets:
    return asked.balanced(asked.measured_scales())


def test_the_pictures_they_were_measured_on_have_one_scale(live: LiveTargets) -> None:
    """Of each of the three shipped teachers: maps all channels alike, summaries channel by channel."""
    batches = [live.batch(Page("train", number)).floats() for number in range(3)]
    for name in batches[0]:
        maps = torch.cat([batch[name].spatial for batch in batches]).movedim(1, -1).flatten(0, 2).double()
        assert maps.mean(0).abs().max() < 1e-3
        assert (maps.var(0, unbiased=False) - 1).abs().max() < 1e-3
        summaries = [batch[name].summary for batch in batches]
        if summaries[0] is not None:
            together = torch.cat([one for one in summaries if one is not None]).double()
            assert (together.var(0, unbiased=False) - 1).abs().max() < 1e-3


def test_balanced_targets_are_cached_as_they_are_live(live: LiveTargets, tmp_path: Path) -> None:
    cached, page = CachedTargets(live, tmp_path), Page("train", 1)
    cached.batch(page)
    for name, answer in cached.batch(page).targets.items():
        assert torch.equal(answer.spatial, live.batch(page).targets[name].spatial)
    assert cached.scales is live.scales


def test_angles_are_balanced_by_the_dispersion_of_what_is_compared(asked: LiveTargets) -> None:
    """Balanced summaries lie all around, those of the teachers in a narrow cone: so does the dispersion say."""
    pages = [Page("train", number) for number in range(3)]
    for kind in ("none", "channel"):
        balance = Balance(summary=kind, pictures=60)
        found = measured_scales(balance, (asked.exact(page) for page in pages))
        seen = asked.balanced(found)
        for name in ("clip", "dino"):
            summaries = torch.cat([seen.exact(page)[name].summary for page in pages]).double()
            units = summaries / summaries.norm(dim=1, keepdim=True)
            middle = units.mean(0) / units.mean(0).norm()
            angles = torch.acos((units @ middle).clamp(-1, 1))
            assert found[name].dispersion == pytest.approx(float((angles**2).mean()), rel=1e-4)


def test_scales_read_back_are_the_same(live: LiveTargets, tmp_path: Path) -> None:
    write_scales(tmp_path / "scales.safetensors", live.scales)
    read = read_scales(tmp_path / "scales.safetensors")
    assert read.keys() == live.scales.keys()
    for name, scale in live.scales.items():
        assert read[name].dispersion == scale.dispersion
        assert (read[name].summary is None) == (scale.summary is None)
        assert scale.spatial is not None
        assert torch.equal(read[name].spatial.there, scale.spatial.there)  # type: ignore[union-attr]
    (tmp_path / "scales.safetensors").write_bytes(b"half a file")
    with pytest.raises(EradioError, match="Remove the file"):
        read_scales(tmp_path / "scales.safetensors")


@pytest.mark.parametrize("kind", ["global", "channel", "phi-s"])
def test_restored_heads_answer_in_the_teachers_own_scale(kind: BalanceKind) -> None:
    torch.manual_seed(0)
    teachers = (TeacherShape("clip", 12, 24), TeacherShape("sam", None, 8))
    answers = [
        {
            "clip": Features(3 + torch.randn(20, 12), 50 * torch.randn(20, 24, 4, 4)),
            "sam": Features(None, torch.randn(20, 8, 2, 2)),
        }
        for _ in range(3)
    ]
    scales = measured_scales(Balance(summary=kind, spatial=kind, pictures=60), answers)
    heads = Heads((10, 12), teachers)
    features = Features(torch.randn(6, 10), torch.randn(6, 12, 4, 4))
    with torch.no_grad():
        balanced = heads(features)
        heads.restore(scales)
        restored = heads(features)
    for name, scale in scales.items():
        again = scale.balance(restored[name])
        assert torch.allclose(again.spatial, balanced[name].spatial, atol=1e-4)
        if again.summary is not None and balanced[name].summary is not None:
            assert torch.allclose(again.summary, balanced[name].summary, atol=1e-4)


def test_a_teacher_that_cannot_be_balanced_is_named() -> None:
    odd = [{"odd one": Features(None, torch.randn(4, 6, 2, 2))}]
    with pytest.raises(EradioError, match="Teacher 'odd one': There is no Hadamard matrix of size 6"):
        measured_scales(Balance(spatial="phi-s"), odd)


def test_the_angle_needs_statistics_and_teachers_weights_do_not_touch_the_cache() -> None:
    assert not Recipe().needs_scales()
    assert Recipe(summary=SummaryLoss(cosine=0, angle=1)).needs_scales()
    assert RECIPE.needs_scales()
    heavier = tuple(teacher.model_copy(update={"spatial_weight": 3.0}) for teacher in RECIPE.teachers)
    other = RECIPE.model_copy(update={"teachers": heavier})
    assert other.schedule_identity() == RECIPE.schedule_identity()
    assert other.identity() != RECIPE.identity()
    assert other.loss_weights()["dino/spatial"] == 3.0


def test_nothing_is_balanced_where_nothing_is_asked_for() -> None:
    scale = measured_scales(Balance(), [{"clip": Features(torch.randn(9, 4), torch.randn(9, 6, 2, 2))}])["clip"]
    assert scale == Scale(None, None, scale.dispersion)
    assert scale.dispersion > 0
