import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.errors import EradioError
from eradio.search_space import Architecture, named

ENTRIES = ("local", "global", "linear", "global-sub2", "global-sub3")


def stage(**changes):
    plain = {"kind": "attention", "width": 32, "depth": 2, "heads": 2, "pattern": ["global-sub2", "local"], "window": 4}
    return {key: value for key, value in (plain | changes).items() if value is not None}


def conv(kind, **changes):
    return {"kind": kind, "width": 16, "depth": 1, **changes}


def architecture(*stages, neck=None):
    return Architecture.parse({"stem": {"width": 8}, "stages": list(stages), "neck": neck}, "here")


def test_json_round_trip_keeps_the_digest():
    network = named("e_radio_mini")
    again = Architecture.parse(json.loads(network.canonical()), "here")
    assert again == network
    assert again.digest() == network.digest()


@given(
    period=st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=3),
    repeats=st.integers(1, 4),
    depth=st.integers(1, 3),
)
def test_a_repeated_pattern_is_a_deeper_stage(period, repeats, depth):
    unrolled = architecture(stage(pattern=period * repeats, depth=depth))
    assert unrolled.digest() == architecture(stage(pattern=period, depth=depth * repeats)).digest()
    assert unrolled.stages[0].pattern * unrolled.stages[0].depth == tuple(period) * repeats * depth


@pytest.mark.parametrize(
    ("pattern", "meaningless"),
    [
        (["global"], {"window": 4, "bias_window": 4, "fit": "pad", "enter": "pool", "local_conv": "none"}),
        (["linear"], {"window": 4, "bias_window": 4, "bias_width": 64, "enter": "pool"}),
        (["local"], {"enter": "pool"}),
        (["global-sub2"], {"local_conv": "depthwise"}),
        (["global", "global-sub2"], {"local_conv": "depthwise"}),
    ],
)
def test_what_has_no_meaning_does_not_change_the_digest(pattern, meaningless):
    window = 4 if {"local", "global-sub2"} & set(pattern) else None
    plain = architecture(stage(pattern=pattern, window=window))
    decorated = architecture(stage(**{"pattern": pattern, "window": window, **meaningless}))
    assert decorated.digest() == plain.digest()
    assert all(getattr(decorated.stages[0], key) is None for key in meaningless)


@pytest.mark.parametrize(
    "change",
    [{"window": 2}, {"window": [4, 2]}, {"bias_window": 8}, {"fit": "pad"}, {"enter": "pool"}, {"local_conv": "none"}],
)
def test_what_has_a_meaning_changes_the_digest(change):
    assert architecture(stage(**change)).digest() != architecture(stage()).digest()


@pytest.mark.parametrize(
    ("plain", "decorated"),
    [
        (stage(), stage(window=[4, 4], fit="resize", enter="conv", local_conv="dense", bias_width=512)),
        (conv("residual"), conv("residual", expansion=2, kernel=5)),
        (conv("c2f"), conv("c2f", expansion=2)),
        (conv("fused_mbconv"), conv("fused_mbconv", expansion=4, kernel=5)),
        (conv("convnext"), conv("convnext", expansion=4, kernel=7)),
    ],
)
def test_defaults_and_meaningless_knobs_can_be_written_out(plain, decorated):
    assert architecture(plain).digest() == architecture(decorated).digest()


def test_stem_and_down_sampling_without_a_meaning_are_none():
    data = {"stages": [conv("residual")]}
    unshuffle = Architecture.parse({**data, "stem": {"kind": "unshuffle"}}, "here")
    assert Architecture.parse({**data, "stem": {"kind": "unshuffle", "width": 8}}, "here") == unshuffle
    assert Architecture.parse({**data, "stem": {"width": 8}, "down": "unshuffle"}, "here") == architecture(
        conv("residual")
    )
    with pytest.raises(EradioError, match="a stem of kind conv needs 'width'"):
        Architecture.parse({**data, "stem": {}}, "here")


def test_a_neck_that_is_the_identity_is_none():
    plain = architecture(stage())
    for branch in ("resample", "shuffle"):
        neck = {"start": 0, "width": 32, "branch": branch}
        assert architecture(stage(), neck=neck).digest() == plain.digest()


@pytest.mark.parametrize(
    ("stages", "neck", "words"),
    [
        ([stage(width=96, heads=5)], None, "width 96 is not divisible by 5 heads"),
        ([stage(window=None)], None, "add 'window'"),
        ([stage(pattern=[])], None, "stages.0.attention.pattern"),
        ([stage(pattern=["globel"])], None, "no such attention; use local, global, linear, or global-subN"),
        ([stage(pattern=[2, 1])], None, "no such attention"),
        ([stage(pattern=["global-sub9"])], None, "no such attention"),
        ([stage(window=[4, 0])], None, "greater than or equal to 1"),
        ([{"kind": "convnext", "width": 16, "depth": 1, "kernel": 4}], None, "kernel 4 is even"),
        ([stage(depth=0)], None, "stages.0.attention.depth"),
        ([stage(depth="2")], None, "stages.0.attention.depth"),
        ([stage(kind="dense")], None, "'dense'"),
        ([{"kind": "c2f", "width": 15, "depth": 1}], None, "width 15 is odd"),
        ([{"kind": "c2f", "width": 16, "depth": 1, "window": 4}], None, "window' is not a known key"),
        ([], None, "stages"),
        ([stage()], {"start": 1, "width": 8}, "the last stage is 0"),
    ],
)
def test_mistakes_are_sentences(stages, neck, words):
    with pytest.raises(EradioError) as error:
        architecture(*stages, neck=neck)
    assert words in str(error.value)
    assert str(error.value).startswith("here: ")
    assert "\n" not in str(error.value)
