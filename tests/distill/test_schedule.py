"""The schedule: slots and learning rates as pure functions."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.distill.recipe import Crop, Optimiser, Partition
from eradio.distill.schedule import decay_start, learning_rate, side_at, slot, whole

CROP = Crop(smallest=0.5)


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 63), st.integers(1, 500))
def test_a_slot_is_a_function_of_seed_and_index_and_stays_inside(
    seed: int, step: int, place: int, pictures: int
) -> None:
    first = slot(seed, step, place, batch=64, pictures=pictures, crop=CROP)
    assert first == slot(seed, step, place, batch=64, pictures=pictures, crop=CROP)
    assert 0 <= first.picture < pictures
    assert 0.5 <= first.side**2 <= 1.0 + 1e-9
    assert 0 <= first.left <= first.left + first.side <= 1 + 1e-9
    assert 0 <= first.top <= first.top + first.side <= 1 + 1e-9


def test_crops_reach_every_side_and_every_corner() -> None:
    drawn = [slot(0, step, 0, batch=1, pictures=50, crop=CROP) for step in range(2000)]
    areas = [one.side**2 for one in drawn]
    assert min(areas) == pytest.approx(0.5, abs=0.01)
    assert max(areas) == pytest.approx(1.0, abs=0.01)
    assert sum(areas) / len(areas) == pytest.approx(0.75, abs=0.02)
    for edge in ("left", "top"):
        share = [getattr(one, edge) / (1 - one.side) for one in drawn]
        assert min(share) < 0.02
        assert max(share) > 0.98
        assert sum(share) / len(share) == pytest.approx(0.5, abs=0.03)


def test_each_epoch_shows_every_picture_once_in_an_order_of_its_own() -> None:
    drawn = [slot(1, step, place, batch=8, pictures=20, crop=CROP).picture for step in range(5) for place in range(8)]
    assert Counter(drawn[:20]) == Counter(range(20)) == Counter(drawn[20:])
    assert drawn[:20] != drawn[20:]


def test_the_same_position_holds_the_same_sample_whatever_the_batch() -> None:
    small = slot(3, step=7, place=1, batch=4, pictures=100, crop=CROP)
    assert small == slot(3, step=1, place=13, batch=16, pictures=100, crop=CROP)


def test_seeds_and_positions_differ() -> None:
    samples = {slot(seed, step, 0, batch=2, pictures=2**31 - 1, crop=CROP) for seed in range(9) for step in range(9)}
    assert len(samples) == 81


def test_mirroring_can_be_switched_off() -> None:
    still = Crop(flip=False)
    assert not any(slot(0, step, 0, batch=1, pictures=50, crop=still).mirrored for step in range(50))
    turned = [slot(0, step, 0, batch=1, pictures=50, crop=Crop()).mirrored for step in range(200)]
    assert 60 < sum(turned) < 140


def test_validation_sees_the_whole_square() -> None:
    assert whole(4).side == 1.0
    assert not whole(4).mirrored


@given(st.integers(1, 400), st.integers(1, 400))
def test_rungs_share_one_trunk_up_to_the_decay(first: int, second: int) -> None:
    optimiser = Optimiser(learning_rate=0.01, warmup=10, decay=0.2)
    shared = min(decay_start(first, optimiser), decay_start(second, optimiser))
    for step in range(shared):
        assert learning_rate(step, first, optimiser) == learning_rate(step, second, optimiser)


def test_the_rate_rises_stays_and_falls_linearly() -> None:
    optimiser = Optimiser(learning_rate=1.0, warmup=4, decay=0.4)
    rates = [learning_rate(step, 20, optimiser) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:12] == [1.0] * 8
    assert rates[12:] == pytest.approx([8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 9, 3 / 9, 2 / 9, 1 / 9])


@given(st.integers(20, 400), st.integers(0, 3))
def test_a_cosine_falls_to_nothing_and_begins_again(steps: int, restarts: int) -> None:
    optimiser = Optimiser(schedule="cosine", learning_rate=2.0, warmup=0, restarts=restarts)
    rates = [learning_rate(step, steps, optimiser) for step in range(steps)]
    begins = [step for step in range(1, steps) if rates[step] > rates[step - 1]]
    assert len(begins) == restarts
    assert rates[0] == 2.0
    assert rates[-1] < 2.0 * 0.15 + 1e-9 if steps / (restarts + 1) > 10 else True
    assert all(2.0 >= rate > 0 for rate in rates)


def test_each_period_of_a_cosine_warms_up() -> None:
    optimiser = Optimiser(schedule="cosine", learning_rate=1.0, warmup=4, restarts=1)
    rates = [learning_rate(step, 200, optimiser) for step in range(200)]
    for start in (0, 100):
        assert rates[start : start + 5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], rel=0.01)
        assert rates[start + 50] == pytest.approx(0.5)
    assert decay_start(200, optimiser) == 0


def test_resolutions_are_drawn_for_each_step_and_grow_when_the_recipe_says() -> None:
    partition = Partition.model_validate(
        {"resolution": [32, 48, 64], "later": [{"step": 100, "resolution": 96}, {"step": 200, "resolution": [96, 128]}]}
    )
    sides = [side_at(0, step, partition, 0) for step in range(400)]
    assert set(sides[:100]) == {32, 48, 64}
    assert set(sides[100:200]) == {96}
    assert set(sides[200:]) == {96, 128}
    assert min(Counter(sides[:100]).values()) > 15
    assert sides == [side_at(0, step, partition, 0) for step in range(400)]
    assert sides != [side_at(1, step, partition, 0) for step in range(400)]
    assert sides != [side_at(0, step, partition, 1) for step in range(400)]
    assert partition.largest() == 128


def test_partitions_see_the_same_pictures_in_other_orders() -> None:
    first, second = (
        [slot(1, step, 0, batch=1, pictures=20, crop=CROP, partition=number).picture for step in range(20)]
        for number in range(2)
    )
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
