import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.errors import EradioError
from eradio.search_space import build, choose_windows, fit_windows, named, windows_at, with_window

B = named("e_radio_b")


def windows(architecture, side):
    return [one.window for one in windows_at(fit_windows(architecture, side), side)]


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ((224, 224), [(7, 7), (7, 7)]),
        ((256, 256), [(8, 8), (8, 8)]),
        ((384, 384), [(12, 12), (12, 12)]),
        ((448, 448), [(7, 7), (7, 7)]),
        ((544, 544), [(17, 17), (17, 17)]),  # the official rule gives 1
        ((256, 320), [(8, 10), (8, 10)]),  # the official rule resizes the long side by up to 60 %
        ((96, 96), [(3, 3), (3, 3)]),
    ],
)
def test_windows_fit_the_map_and_are_no_smaller_than_the_network_s_own(side, expected):
    assert windows(B, side) == expected
    assert all(one.waste == 0 for one in windows_at(fit_windows(B, side), side))


@given(st.integers(1, 2048), st.integers(1, 2048))
@settings(deadline=None)
def test_no_size_falls_into_the_prime_trap(height, width):
    """Windows reach as far as the network's own, or over the whole map, and waste stays small."""
    side = (height, width)
    for one in windows_at(fit_windows(B, side), side):
        for window, length in zip(one.window, one.side, strict=True):
            assert window >= min(7, -(-length // 2))
        assert one.waste < 0.35


def test_a_network_s_own_windows_are_kept_where_they_fit():
    for name, side in (("e_radio_b", 224), ("e_radio_l", 448), ("e_radio_xxxtiny", 512), ("e_radio_mini", 64)):
        assert fit_windows(named(name), (side, side)) == named(name)


def test_fitting_changes_windows_and_nothing_else():
    fitted = fit_windows(B, (544, 544))
    assert fitted != B
    assert with_window(fitted, 7) == B


@torch.no_grad()
def test_switching_resolution_needs_no_rebuild_and_keeps_the_weights():
    module = build(named("e_radio_mini")).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for side in ((64, 64), (96, 160), (50, 70), (64, 64)):
        chosen = module.set_input_size(side)
        assert [one.side for one in chosen] == [
            (-(-side[0] // 32) * 2, -(-side[1] // 32) * 2),
            (-(-side[0] // 32), -(-side[1] // 32)),
        ]
        spatial = module(torch.rand(1, 3, *side)).spatial
        assert spatial.shape == (1, 128, -(-side[0] // 8), -(-side[1] // 8))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_user_s_window_goes_before_the_rule():
    module = build(named("e_radio_mini"))
    assert [one.window for one in module.set_input_size((64, 64), window=3)] == [(3, 3), (3, 3)]
    assert [one.waste for one in windows_at(with_window(named("e_radio_mini"), 3), (64, 64))] == [1.25, 1.25]


def test_a_stage_that_pads_wastes_in_each_block_what_it_pads():
    """At 320 pixels the first generation's local blocks pad 20 to 21, the sub-sampled ones to 28; the last 10 to 14."""
    third, fourth = windows_at(named("e_radio_v1_b"), (320, 320))
    sub_sampled, local = 28**2 / 4, 21**2
    assert third.waste == pytest.approx((sub_sampled + local) / (20**2 * (1 / 4 + 1)) - 1)
    assert fourth.waste == pytest.approx(14**2 / 10**2 - 1)


def test_a_user_asks_for_windows_in_words():
    assert choose_windows(B, (544, 544), "own") == B
    assert choose_windows(B, (544, 544), "fit") == fit_windows(B, (544, 544))
    assert choose_windows(B, (544, 544), "9") == with_window(B, 9)
    with pytest.raises(EradioError, match="--window must be 'own', 'fit' or a number"):
        choose_windows(B, (544, 544), "big")


def test_a_pruned_network_still_switches_resolution():
    module = build(named("e_radio_mini")).eval()
    module.prune(3)
    assert [one.window for one in module.set_input_size((96, 96))] == [(3, 3)]
    assert module(torch.rand(1, 3, 96, 96)).spatial.shape == (1, 96, 6, 6)


def test_a_window_below_one_is_a_sentence():
    with pytest.raises(EradioError, match=r"The window: .*greater than or equal to 1"):
        with_window(B, 0)
