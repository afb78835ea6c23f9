import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from eradio.scenes import KINDS, Scenes
from eradio.scenes.captions import caption

OPPOSITE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
}


@given(st.sampled_from(["train", "test", "single"]), st.integers(0, 2**31 - 2))
def test_a_caption_names_every_kind_in_order(split, index):
    layout = Scenes(split).layout(index)
    told = caption(layout)
    names = [KINDS[placed.kind].caption for placed in layout.objects]
    if len(names) == 1:
        assert told == names[0]
    elif len(names) == 2:
        relation = told.removeprefix(names[0]).removesuffix(names[1]).strip()
        assert relation in OPPOSITE
        assert told == f"{names[0]} {relation} {names[1]}"
    else:
        assert told == ", ".join(names[:-1]) + " and " + names[-1]


def test_the_relation_agrees_with_the_masks():
    scenes, checked = Scenes("train"), set()
    for index in range(400):
        scene = scenes.scene(index)
        if len(scene.kinds) != 2:
            continue
        (y, x), (its_y, its_x) = (mask.nonzero() for mask in scene.masks)
        across, down = its_x.mean() - x.mean(), its_y.mean() - y.mean()
        for relation, distance in {
            " left of ": across,
            " right of ": -across,
            " above ": down,
            " below ": -down,
        }.items():
            if relation in scene.caption:
                assert distance > 5
                checked.add(relation)
    assert len(checked) == 4


def test_told_from_the_other_object_the_relation_is_its_opposite():
    scenes = Scenes("train")
    layouts = [layout for layout in map(scenes.layout, range(200)) if len(layout.objects) == 2]
    for layout in layouts:
        first, second = (KINDS[placed.kind].caption for placed in layout.objects)
        relation = caption(layout).removeprefix(first).removesuffix(second).strip()
        depth = tuple(1 - place for place in layout.painting)
        other = dataclasses.replace(layout, objects=layout.objects[::-1], painting=depth)
        assert caption(other) == f"{second} {OPPOSITE[relation]} {first}"
