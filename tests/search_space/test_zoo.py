import json
import math

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from eradio.errors import EradioError
from eradio.search_space import Architecture, TimmNetwork, baselines, build, describe, named, with_window
from eradio.search_space.zoo import zoo
from tests.search_space.official_names import VARIANTS, official_names

PARAMETERS = {
    "e_radio_b": 173_268_800,
    "e_radio_l": 389_598_784,
    "e_radio_xxxtiny": 10_255_008,
    "e_radio_v1_b": 117_404_480,
    "e_radio_v1_b_noneck": 112_677_696,
    "e_radio_v1_l": 263_924_800,
}
"""Without the last norm and the classifier, as counted in the official networks of these sizes."""

GMACS = {
    ("e_radio_b", 7): 15.181,
    ("e_radio_l", 7): 33.870,
    ("e_radio_xxxtiny", 7): 0.884,
    ("e_radio_xxxtiny", 16): 4.27,
    ("e_radio_v1_b", 7): 10.538,
    ("e_radio_v1_b_noneck", 7): 10.230,
    ("e_radio_v1_l", 7): 23.445,
}
"""Of the official networks at 224 pixels, by name and window."""


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_e_radio_has_the_official_number_of_parameters(name):
    with torch.device("meta"):
        module = build(named(name))
    assert parameters(module) == PARAMETERS[name]
    assert module.output_stride == (32 if name.endswith("noneck") else 16)


@pytest.mark.parametrize(
    ("name", "d", "depths"),
    [
        ("e_radio_xt", 64, (1, 3, 4, 5)),
        ("e_radio_t", 80, (1, 3, 4, 5)),
        ("e_radio_s", 96, (3, 3, 5, 5)),
        ("e_radio_b", 128, (3, 3, 5, 5)),
        ("e_radio_l", 192, (3, 3, 5, 5)),
    ],
)
def test_the_paper_s_family_has_the_parameters_of_official_state_dicts_of_its_sizes(name, d, depths):
    names = official_names(d, depths, stem=64, window=7, neck=(2, 8 * d))
    computed = ("running_mean", "running_var", "num_batches_tracked", "table", "index", "relative_bias")
    kept = [shape for key, shape in names.items() if not key.endswith(computed) and key[:5] not in ("norm.", "head.")]
    with torch.device("meta"):
        module = build(named(name))
    assert parameters(module) == sum(math.prod(shape) for shape in kept)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "e_radio_l"])
def test_the_registered_variants_have_the_parameters_of_their_state_dicts(name):
    computed = ("running_mean", "running_var", "num_batches_tracked", "table", "index", "relative_bias")
    names = official_names(**VARIANTS[name])
    kept = [shape for key, shape in names.items() if not key.endswith(computed) and key[:5] not in ("norm.", "head.")]
    with torch.device("meta"):
        module = build(named(name))
    assert parameters(module) == sum(math.prod(shape) for shape in kept)


def gmacs(network):
    """Of convolutions, linear layers and attention at 224 pixels, by torch's own counter, which counts no norms."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        build(network).eval()(torch.rand(1, 3, 224, 224))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(("name", "window"), GMACS)
def test_e_radio_costs_the_official_multiply_accumulates(name, window):
    assert gmacs(with_window(named(name), window)) == pytest.approx(GMACS[name, window], rel=0.005)


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        ("e_radio_l", (224, 224), (1536, 14, 14)),
        ("e_radio_l", (256, 320), (1536, 16, 20)),
        ("e_radio_l", (512, 512), (1536, 32, 32)),
        ("e_radio_xxxtiny", (224, 224), (256, 14, 14)),
        ("e_radio_xxxtiny", (256, 320), (256, 16, 20)),
        ("e_radio_xxxtiny_8x_ws12", (224, 224), (256, 14, 14)),
        ("e_radio_xxxtiny_8x_ws16", (224, 224), (256, 28, 28)),
        ("e_radio_v1_b", (224, 224), (1024, 14, 14)),
        ("e_radio_v1_b_noneck", (224, 224), (1024, 7, 7)),
    ],
)
def test_outputs_have_the_official_shapes(name, side, shape):
    with torch.device("meta"):
        features = build(named(name)).eval()(torch.rand(1, 3, *side))
    assert features.spatial.shape == (1, *shape)
    assert features.summary.shape == (1, shape[0])


RIVALS = {
    "efficientnetv2_s": 2.85,
    "resnetv2_101": 7.80,
    "regnety_064": 6.35,
    "efficientvit_l1": 5.26,
    "convnext_b": 15.35,
    "nfnet_f3": 33.3,
    "swinv2_s": None,  # published for windows of 8
    "maxvit_b": 23.4,
    "poolformerv2_m36": 8.76,
    "mvitv2_b": 10.1,
    "vit_b": None,
}
"""The paper's comparison set, as far as timm has it, with published multiply-accumulates at 224 in billions."""


def test_the_paper_s_rivals_have_the_interface_of_a_candidate():
    rivals = dict(baselines("paper"))
    assert set(rivals) == set(RIVALS)
    for name, network in rivals.items():
        with torch.device("meta"):
            module = build(network).eval()
            features = module(torch.rand(2, 3, 224, 224))
        assert features.summary.shape == (2, module.summary_width), name
        assert features.spatial.shape == (2, module.spatial_width, *features.spatial.shape[2:]), name
        assert min(features.spatial.shape[2:]) == (14 if name == "vit_b" else 7)


@pytest.mark.parametrize("name", [name for name, published in RIVALS.items() if published])
def test_a_rival_costs_what_the_field_says(name):
    assert gmacs(named(name)) == pytest.approx(RIVALS[name], rel=0.03)


def test_a_generation_answers_on_the_meta_device():
    with torch.device("meta"):
        features = build(named("e_radio_v1_b"))(torch.rand(1, 3, 224, 224))
    assert features.spatial.shape == (1, 1024, 14, 14)


def test_baselines_cover_four_families_of_two_or_three_sizes_and_learn():
    sizes = {}
    for name, network in baselines("tiny"):
        module = build(network)
        features = module(torch.rand(2, 3, 64, 64))
        (features.summary.square().mean() + features.spatial.square().mean()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters()), name
        assert min(features.spatial.shape[2:]) >= 4
        sizes.setdefault(name.rpartition("_")[0], []).append(parameters(module))
    assert len(sizes) >= 4
    assert all(2 <= len(family) <= 3 and family == sorted(family) for family in sizes.values())


def test_every_name_of_the_zoo_has_words_of_its_own():
    words = {describe(network) for network in zoo().values()}
    assert len(words) == len(zoo())
    assert all("\n" not in line for line in words)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_file_names_its_network(tmp_path, suffix):
    dump = json.dumps if suffix == "json" else yaml.safe_dump
    for name in ("e_radio_mini", "resnet_s"):
        path = tmp_path / f"{name}.{suffix}"
        path.write_text(dump(json.loads(named(name).canonical())))
        assert named(str(path)) == named(name)


def test_timm_names_follow_a_slash():
    assert named("timm/resnet18") == TimmNetwork(name="resnet18")
    assert isinstance(named("e_radio_mini"), Architecture)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("e_radio_bb", "No network is called 'e_radio_bb'; close names are e_radio_b,"),
        ("timm/resnet5", "timm has no model 'resnet5'; did you mean resnet50"),
        ("nowhere/a.json", "Cannot read nowhere/a.json"),
        ("nowhere/a.yaml", "Cannot read nowhere/a.yaml"),
        ("", "No network is called ''"),
    ],
)
def test_unknown_names_are_sentences(name, words):
    with pytest.raises(EradioError) as error:
        named(name)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"layers": 2}'])
def test_a_file_without_a_network_is_refused(tmp_path, text):
    path = tmp_path / "network.json"
    path.write_text(text)
    with pytest.raises(EradioError, match="describes no network"):
        named(str(path))


def test_an_unknown_world_names_the_known_ones():
    with pytest.raises(EradioError, match="no baselines for 'huge'; there are some for paper, tiny"):
        baselines("huge")
