"""Official weights compute in our network what they compute in the official one; anything else is refused.

The expected numbers were printed once by the official smallest variant, filled with a formula for weights.
"""

import pytest
import torch
from torch import nn

from eradio.errors import EradioError
from eradio.search_space import Architecture, load_official, named
from eradio.search_space.official import official_architecture
from tests.search_space.official_names import VARIANTS, filled, official_names, with_tables

FINGERPRINTS = {
    (224, 224, 16): (1.974117, {0: 0.16816, 7168: -0.03301, 16725: 2.57562, 25088: 1.28374, 50175: 2.65798}),
    (224, 224, 7): (1.913139, {0: 1.20641, 7168: -0.62097, 16725: 0.03818, 25088: 1.46019, 50175: 3.30882}),
    (256, 320, 8): (2.073077, {0: 0.79965, 11702: -0.14635, 27306: -3.14887, 40960: 1.01463, 81919: 0.36912}),
}
"""Height, width and window: deviation of the neck's map, and values at places of it."""


@pytest.fixture(scope="module")
def names():
    return official_names(**VARIANTS["e_radio_xxxtiny"])


@pytest.fixture(scope="module")
def state(names):
    return filled(names)


def wave(height, width):
    rows, columns = torch.arange(1.0, height + 1)[:, None], torch.arange(1.0, width + 1)[None]
    return torch.stack([torch.sin(0.11 * rows + 0.5 * c) + torch.cos(0.07 * columns) for c in range(3)])[None]


@pytest.mark.parametrize("size", FINGERPRINTS, ids=str)
def test_the_map_is_the_official_one(state, names, size):
    """With the tables of a network built for windows of 16, of which another window was then chosen."""
    height, width, window = size
    backbone = load_official(with_tables(state, names, window, built=16))
    backbone.normalise = nn.Identity()
    with torch.no_grad():
        spatial = backbone(wave(height, width)).spatial
    deviation, expected = FINGERPRINTS[size]
    assert spatial.shape == (1, 256, height // 16, width // 16)
    torch.testing.assert_close(spatial.std(), torch.tensor(deviation), rtol=1e-5, atol=0)
    for place, value in expected.items():
        assert abs(spatial.flatten()[place].item() - value) < 1e-4 * deviation


@pytest.mark.parametrize("name", VARIANTS)
def test_every_registered_variant_is_recognised_by_its_shapes(name):
    with torch.device("meta"):
        names = official_names(**VARIANTS[name]).items()
        weights = {key: torch.empty(shape) for key, shape in names if "relative_" not in key}
    window = VARIANTS[name]["window"]
    found = official_architecture(weights, window, window)
    assert {stage.window for stage in found.stages[2:]} == {stage.bias_window for stage in found.stages[2:]} == {window}
    if name == "e_radio_l":  # registered with windows of 16; the paper's family has 7, and offsets relative to them
        data = named(name).model_dump()
        for stage in data["stages"][2:]:
            stage |= {"window": 16, "bias_window": 16}
        assert found == Architecture.parse(data, "here")
    else:
        assert found == named(name)


def test_pooled_variants_load_too():
    names = official_names(**VARIANTS["e_radio_xxxtiny_8x_ws16"])
    backbone = load_official(with_tables(filled(names), names, 16, 16))
    assert backbone.architecture == named("e_radio_xxxtiny_8x_ws16")
    assert backbone(torch.rand(1, 3, 64, 64)).spatial.shape == (1, 256, 8, 8)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.base_model.{name}": value for name, value in state.items()},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {**{f"net.{n}": v for n, v in state.items()}, "heads.clip.weight": torch.ones(2)}},
    ],
)
def test_prefixes_and_wrappings_are_taken_off(state, wrap):
    plain = load_official(state, window=7, bias_window=16).state_dict()
    wrapped = load_official(wrap(state), window=7, bias_window=16).state_dict()
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)


def drop(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {}, "0 of its 0 keys end in"),
        (lambda state: {"layer1.weight": torch.ones(1)}, "the first key is 'layer1.weight'"),
        (drop("patch_embed.conv_down.2.conv.weight"), "'patch_embed.conv_down.2.conv.weight' is missing"),
        (drop("levels.2.blocks.1.attention_blocks.0.attn.proj.weight"), "weights are missing, the first for"),
        (drop("levels.1.downsample.reduction.bn.running_var"), "1 of its"),
        (lambda state: state | {"levels.0.extra.weight": torch.ones(2)}, "would not hold 'levels.0.extra.weight'"),
        (
            lambda state: state | {"levels.3.blocks.4.attention_blocks.0.mlp.fc2.weight": torch.ones(2, 2)},
            r"mlp.fc2.weight' has the shape \[2, 2\], where \[256, 1024\] belongs",
        ),
        (lambda state: state | {"patch_embed.conv_down.2.conv.weight": torch.ones(8, 32, 3, 3)}, "stem ends with 8"),
        (drop("levels.0.blocks.cv1.conv.weight"), "is missing"),
        *(
            (lambda state, key=key: state | {key: torch.ones(2)}, f"{key}' has the shape")
            for key in (
                "levels.2.blocks.0.attention_blocks.0.downsample_op.weight",
                "levels.2.blocks.0.attention_blocks.0.attn.pos_emb_funct.cpb_mlp.2.weight",
                "levels.2.blocks.0.attention_blocks.0.attn.qkv.weight",
                "levels.2.blocks.0.attention_blocks.1.pre_conv.conv.weight",
                "patch_embed.conv_down.0.conv.weight",
                "levels.0.blocks.cv1.conv.weight",
            )
        ),
    ],
)
def test_another_checkpoint_is_refused_with_the_mismatch(state, change, words):
    with pytest.raises(EradioError, match=words):
        load_official(change(state), window=16, bias_window=16)


def test_without_tables_the_window_must_be_said(state):
    with pytest.raises(EradioError, match=r"hold no position tables.*give 'window'"):
        load_official(state)


def test_tables_of_a_window_of_one_do_not_tell_what_offsets_were_divided_by(state, names):
    """They are what the official rule for windows leaves behind at 544 pixels."""
    tables = with_tables(state, names, 1, built=16)
    with pytest.raises(EradioError, match="give 'window' and 'bias_window'"):
        load_official(tables)
    assert load_official(tables, bias_window=16).architecture.stages[3].bias_window == 16
