import json

import pytest
import torch
import yaml

from eradio.errors import EradioError
from eradio.search_space import Architecture, TimmNetwork, baselines, build, describe, named
from eradio.search_space.zoo import zoo

PUBLISHED = {
    "e_radio_b": 173_268_800,
    "e_radio_l": 389_598_784,
    "e_radio_v1_b": 117_404_480,
    "e_radio_v1_l": 263_924_800,
}
"""Parameters without the last norm and the classifier, as counted in the official networks of these sizes."""


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_e_radio_has_the_published_number_of_parameters(name):
    with torch.device("meta"):
        module = build(named(name))
    assert parameters(module) == PUBLISHED[name]
    assert module.output_stride == 16


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
    with pytest.raises(EradioError, match="no baselines for 'huge'; there are some for tiny"):
        baselines("huge")
