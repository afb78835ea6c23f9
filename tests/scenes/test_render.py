import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.scenes import Scenes, render
from eradio.scenes.layout import Light, relations
from eradio.scenes.splits import Relation
from eradio.scenes.textures import FAMILIES, field

samples = st.tuples(st.sampled_from(["train", "test", "single"]), st.integers(0, 2**31 - 2))


def opacity(layout):
    """[64, 64] opacity of all objects together, 0 .. 255, seen by painting them on black and on white."""
    light = Light((1.0, 1.0, 1.0), 0.0, 0.0)
    black = dataclasses.replace(layout.texture, low=(0.0,) * 3, high=(0.0,) * 3)
    white = dataclasses.replace(layout.texture, low=(255.0,) * 3, high=(255.0,) * 3)
    on_black, on_white = (
        render.picture(dataclasses.replace(layout, texture=texture, light=light), 64).astype(int)
        for texture in (black, white)
    )
    return 255 - (on_white - on_black).max(-1)


@settings(max_examples=60)
@given(samples)
def test_masks_agree_with_the_semantic_map_and_do_not_overlap(sample):
    scene = Scenes(sample[0]).scene(sample[1])
    assert scene.masks.shape == (len(scene.kinds), 64, 64)
    assert scene.masks.dtype == np.bool_
    assert scene.masks.sum(0).max() <= 1
    assert scene.semantic.dtype == np.uint8
    expected = np.zeros((64, 64), np.uint8)
    for kind, mask in zip(scene.kinds, scene.masks, strict=True):
        assert mask.any()
        expected[mask] = kind + 1
    assert np.array_equal(scene.semantic, expected)


@settings(max_examples=60)
@given(samples)
def test_pixels_differ_from_the_background_just_where_the_objects_are(sample):
    layout = Scenes(sample[0]).layout(sample[1])
    empty = dataclasses.replace(layout, objects=(), painting=())
    difference = np.abs(render.picture(layout, 64).astype(int) - render.picture(empty, 64)).max(-1)
    covered, opaque = render.masks(layout, 64).any(0), opacity(layout)
    # An opacity of 1 in 255 can round away on black and white, and change a colour by one.
    assert difference[opaque == 0].max() <= 1
    assert (difference[covered] > 0).mean() > 0.9
    assert opaque[covered].min() >= 125
    if len(layout.objects) == 1:
        assert opaque[~covered].max() <= 130


def test_an_object_in_front_hides_the_other():
    scenes = Scenes("train")
    layouts = (scenes.layout(index) for index in range(200))
    layout = next(one for one in layouts if len(one.objects) == 2 and _relation(one) is Relation.FRONT)
    turned = dataclasses.replace(layout, painting=layout.painting[::-1])
    first, second = render.masks(layout, 64)
    behind_first, before_second = render.masks(turned, 64)
    assert first.sum() > behind_first.sum()
    assert second.sum() < before_second.sum()
    assert (first | second == (behind_first | before_second)).all()


def _relation(layout):
    return next(relations(layout))[1].converse


def test_no_object_is_hidden_nearly_whole():
    for index in range(300):
        layout = Scenes("train").layout(index)
        seen = render.masks(layout, 64)
        for place, placed in enumerate(layout.objects):
            alone = render.masks(dataclasses.replace(layout, objects=(placed,), painting=(0,)), 64)[0]
            assert seen[place].sum() >= 0.3 * alone.sum()


def test_mirroring_turns_the_object_around():
    layout = Scenes("single").layout(12)
    (placed,) = layout.objects
    still = dataclasses.replace(placed, x=0.5, y=0.5, turn=0.0, mirrored=False)
    mask = render.masks(dataclasses.replace(layout, objects=(still,)), 64)[0]
    turned = dataclasses.replace(still, mirrored=True)
    mirrored = render.masks(dataclasses.replace(layout, objects=(turned,)), 64)[0]
    assert (mask[:, ::-1] != mirrored).mean() < 0.01
    assert (mask != mirrored).mean() > 0.02


def test_the_light_falls_off_along_its_direction():
    layout = Scenes("single").layout(0)
    flat = dataclasses.replace(layout.texture, low=(200.0, 200.0, 200.0), high=(200.0, 200.0, 200.0))
    bare = dataclasses.replace(layout, texture=flat, objects=(), painting=(), light=Light((1, 1, 0.9), 0.0, 0.3))
    picture = render.picture(bare, 64).astype(int)
    assert picture[32, 0, 0] > picture[32, 63, 0] + 20
    assert np.ptp(picture[:, 20, 0]) == 0
    assert picture[32, 0, 2] == pytest.approx(0.9 * picture[32, 0, 0], abs=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_texture_has_a_pattern_that_shifts(family):
    texture = dataclasses.replace(Scenes().layout(3).texture, family=family, scale=4.0, shape=0.5)
    pattern = field(texture, 64)
    assert pattern.dtype == np.uint8
    assert pattern.shape == (64, 64)
    assert pattern.std() > 8
    assert not np.array_equal(pattern, field(dataclasses.replace(texture, shift=(0.4, 0.3)), 64))
