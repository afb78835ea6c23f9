import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.scenes import KINDS, SPLITS, Scenes
from eradio.scenes.layout import lay_out, relations
from eradio.scenes.splits import (
    RELATIONS,
    held_out_partners,
    held_out_relation,
    is_held_out_pair,
    is_trainable,
)
from eradio.scenes.textures import FAMILIES, HELD_OUT, TRAINING

kinds = st.integers(0, len(KINDS) - 1)
indices = st.integers(0, 2**31 - 2)
seeds = st.integers(0, 2**31)


@given(kinds, kinds)
def test_what_is_held_out_does_not_depend_on_the_order_of_telling(first, second):
    assert is_held_out_pair(first, second) == is_held_out_pair(second, first)
    assert not is_held_out_pair(first, first)
    if first != second:
        assert held_out_relation(first, second).converse is held_out_relation(second, first)
    assert is_held_out_pair(first, second) == (second in held_out_partners(first))


def test_about_a_tenth_of_pairs_and_every_relation_are_held_out():
    pairs = [(a, b) for a in range(len(KINDS)) for b in range(a)]
    assert 0.08 < sum(is_held_out_pair(a, b) for a, b in pairs) / len(pairs) < 0.12
    assert all(held_out_partners(kind) for kind in range(len(KINDS)))
    shares = [sum(held_out_relation(a, b) is relation for a, b in pairs) / len(pairs) for relation in RELATIONS]
    assert min(shares) > 0.14


def test_texture_families_are_split_without_rest():
    assert set(TRAINING) | set(HELD_OUT) == set(FAMILIES)
    assert not set(TRAINING) & set(HELD_OUT)
    assert len(HELD_OUT) >= 3


@pytest.mark.parametrize("split", ["train", "val", "single-train"])
def test_training_never_shows_what_is_held_out_over_many_indices(split):
    for index in range(3000):
        layout = lay_out(split, 0, index)
        assert layout.texture.family in TRAINING
        assert all(is_trainable(*told) for told in relations(layout))


@given(st.sampled_from(["train", "val"]), seeds, indices)
def test_training_never_shows_what_is_held_out_anywhere(split, seed, index):
    layout = lay_out(split, seed, index)
    assert layout.texture.family in TRAINING
    for first, relation, second in relations(layout):
        assert not is_held_out_pair(first, second)
        assert held_out_relation(first, second) is not relation


@given(seeds, indices)
def test_each_test_picture_shows_something_held_out(seed, index):
    layout = lay_out("test", seed, index)
    assert layout.texture.family in HELD_OUT
    if len(layout.objects) > 1:
        assert not all(is_trainable(*told) for told in relations(layout))


def test_test_shows_held_out_pairs_and_held_out_relations_alike():
    told = [list(relations(lay_out("test", 0, index))) for index in range(600)]
    pairs = [told_one[0] for told_one in told if len(told_one) == 1]
    share = sum(is_held_out_pair(first, second) for first, _, second in pairs) / len(pairs)
    assert 0.35 < share < 0.65


@pytest.mark.parametrize(("split", "families"), [("single", HELD_OUT), ("single-train", TRAINING)])
def test_single_splits_show_every_kind_in_turn_and_large(split, families):
    for index in range(2 * len(KINDS)):
        layout = lay_out(split, 0, index)
        (placed,) = layout.objects
        assert placed.kind == index % len(KINDS)
        assert placed.size >= 0.55
        assert layout.texture.family in families


def test_the_number_of_objects_and_all_relations_vary():
    layouts = [lay_out("train", 0, index) for index in range(1000)]
    counts = [sum(len(layout.objects) == count for layout in layouts) for count in (1, 2, 3, 4)]
    assert min(counts) > 120
    pairs = [next(relations(layout))[1] for layout in layouts if len(layout.objects) == 2]
    assert min(pairs.count(relation) for relation in RELATIONS) > 20


def test_splits_share_no_picture():
    for index in range(20):
        drawn = {Scenes(split).picture(index).tobytes() for split in SPLITS}
        assert len(drawn) == len(SPLITS)
