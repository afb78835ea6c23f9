"""Our networks as timm models: what timm's own suite asks of every model it has, from its documented contract."""

import json

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg, group_parameters, is_model_pretrained
from timm.models._features_fx import GraphExtractNet, get_notrace_modules
from torch import nn

from eradio.errors import EradioError
from eradio.search_space import Architecture, ERadio, build, load_official, named
from eradio.search_space.timm_model import CUSTOM
from eradio.search_space.zoo import zoo
from tests.search_space.official_names import VARIANTS, filled, official_names, with_tables

OURS = [name for name, network in zoo().items() if isinstance(network, Architecture)]
SMALL = ["e_radio_mini", "e_radio_xxxtiny", "e_radio_xxxtiny_8x_ws16"]
"""Those that are cheap to run; the others differ in width and depth alone."""


def model(name, **options):
    return timm.create_model(name, **options).eval()


def on_meta(name, **options):
    with torch.device("meta"):
        return timm.create_model(name, **options).eval()


@pytest.mark.parametrize("name", OURS)
def test_every_named_network_is_registered(name):
    assert timm.is_model(name)
    assert name in timm.list_models("e_radio*", module="timm_model")
    assert not is_model_pretrained(name)
    assert isinstance(on_meta(name), ERadio)


@pytest.mark.parametrize("name", OURS)
def test_the_default_configuration_says_what_the_network_has(name):
    network, config = on_meta(name), get_pretrained_cfg(name)
    weights = network.state_dict()
    assert f"{config.first_conv}.weight" in weights
    assert weights[f"{config.first_conv}.weight"].shape[1] == 3
    assert f"{config.classifier}.weight" in weights
    assert network.get_classifier().weight is network.get_parameter(f"{config.classifier}.weight")
    assert config.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert config.std == pytest.approx((0.26862954, 0.26130258, 0.27577711))
    assert config.interpolation == "bicubic"
    pictures = torch.rand(1, *config.input_size, device="meta")
    features = network.forward_features(pictures)
    assert tuple(features.shape[2:]) == config.pool_size
    assert features.shape[1] == network.num_features == network.head_hidden_size
    assert network(pictures).shape == (1, 1000)
    network.reset_classifier(0)
    assert network(pictures).shape == (1, network.num_features)
    network.reset_classifier(0, "")
    assert tuple(network(pictures).shape[2:]) == config.pool_size


@pytest.mark.parametrize("name", SMALL)
def test_forward_is_finite_at_several_sizes(name):
    network = model(name, num_classes=7)
    for side in ((64, 64), (96, 70)):
        logits = network(torch.randn(2, 3, *side))
        assert logits.shape == (2, 7)
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_backward_reaches_every_parameter(name):
    network = timm.create_model(name, num_classes=42, drop_path_rate=0.1).train()
    logits = network(torch.randn(2, 3, 64, 64))
    logits.mean().backward()
    assert logits.shape == (2, 42)
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("indices", [None, (1, 3), (-2,), (0,)])
def test_features_only_gives_the_maps_of_the_stages_it_names(name, indices):
    options = {} if indices is None else {"out_indices": indices}
    network = model(name, features_only=True, **options)
    maps = network(torch.randn(1, 3, 64, 96))
    stages = named(name).stages
    wanted = range(len(stages)) if indices is None else [index % len(stages) for index in indices]
    assert network.feature_info.channels() == [stages[index].width for index in wanted]
    assert network.feature_info.reduction() == [4 << index for index in wanted]
    for map_, channels, reduction in zip(
        maps, network.feature_info.channels(), network.feature_info.reduction(), strict=True
    ):
        assert map_.shape == (1, channels, 64 // reduction, 96 // reduction)
        assert map_.isfinite().all()


@torch.no_grad()
def test_intermediates_are_the_same_whichever_way_they_are_asked_for():
    network, pictures = model("e_radio_mini"), torch.randn(1, 3, 64, 64)
    final, maps = network.forward_intermediates(pictures)
    assert torch.equal(final, network.forward_features(pictures))
    assert len(maps) == 4
    (last,) = network.forward_intermediates(pictures, indices=[-1], intermediates_only=True)
    assert torch.equal(last, maps[3])
    two = network.forward_intermediates(pictures, indices=2, intermediates_only=True)
    assert [torch.equal(a, b) for a, b in zip(two, maps[2:], strict=True)] == [True, True]
    with pytest.raises(ValueError, match="NCHW"):
        network.forward_intermediates(pictures, output_fmt="NLC")
    with pytest.raises(AssertionError, match="out of range"):
        network.forward_intermediates(pictures, indices=[4])

    deeper = []
    hook = network.backbone.levels[2].register_forward_hook(lambda *arguments: deeper.append(1))
    early = network.forward_intermediates(pictures, indices=[1], stop_early=True, intermediates_only=True)
    assert torch.equal(early[0], maps[1])
    assert not deeper
    hook.remove()

    before = sum(parameter.numel() for parameter in network.parameters())
    assert network.prune_intermediate_layers([0, 1]) == [0, 1]
    assert sum(parameter.numel() for parameter in network.parameters()) < before / 10
    pruned = network.forward_intermediates(pictures, indices=[0, 1], intermediates_only=True)
    assert all(torch.equal(a, b) for a, b in zip(pruned, maps, strict=False))
    assert network.num_features == network.embed_dim == network.head_hidden_size == 48
    assert torch.equal(network.forward_features(pictures), maps[1])
    network.reset_classifier(3, "avg")
    assert network(pictures).shape == (1, 3)


def test_a_feature_extractor_of_early_stages_switches_resolution():
    network = model("e_radio_mini", features_only=True, out_indices=(0, 1, 2))
    assert [one.window for one in network.model.set_input_size(96)] == [(3, 3)]
    assert network(torch.randn(1, 3, 96, 96))[2].shape == (1, 96, 6, 6)


def test_any_number_of_channels_and_classes_and_any_pooling():
    assert model("e_radio_mini", in_chans=1, num_classes=3)(torch.randn(2, 1, 64, 64)).shape == (2, 3)
    for pool, width in (("avg", 128), ("max", 128), ("avgmax", 128), ("catavgmax", 256)):
        assert model("e_radio_mini", num_classes=0, global_pool=pool)(torch.randn(1, 3, 64, 64)).shape == (1, width)
    network = model("e_radio_mini", num_classes=5)
    assert network.forward_head(network.forward_features(torch.randn(1, 3, 64, 64)), pre_logits=True).shape == (1, 128)
    network.reset_classifier(9)
    assert network.get_classifier().out_features == network.num_classes == 9
    network.reset_classifier(0)
    assert isinstance(network.get_classifier(), nn.Identity)
    network.reset_classifier(2, "max")
    assert network(torch.randn(1, 3, 64, 64)).shape == (1, 2)


def test_a_new_classifier_is_of_the_network_s_mode_type_and_device():
    network = model("e_radio_mini", num_classes=0)
    network.reset_classifier(5)
    assert not any(part.training for part in network.modules())
    pictures = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(pictures), network(pictures))
    norm = network.norm
    network.reset_classifier(6)
    assert network.norm is not norm
    half = model("e_radio_mini", num_classes=0).to(torch.bfloat16)
    half.reset_classifier(5)
    assert half(pictures.to(torch.bfloat16)).dtype == torch.bfloat16
    meta = on_meta("e_radio_mini", num_classes=0)
    meta.reset_classifier(5)
    assert {value.device.type for value in meta.state_dict().values()} == {"meta"}


def test_without_classes_the_output_is_the_student_s_summary():
    network, backbone = model("e_radio_mini", num_classes=0), build(named("e_radio_mini")).eval()
    backbone.load_state_dict(network.backbone.state_dict())
    pictures = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network(backbone.normalise(pictures)), backbone(pictures).summary)


def test_checkpointing_changes_memory_and_not_gradients():
    network, pictures = timm.create_model("e_radio_mini", num_classes=2), torch.randn(2, 3, 64, 64)
    gradients = []
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        network.eval()(pictures).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("coarse", [False, True])
def test_every_parameter_has_a_group_and_groups_rise_from_the_pictures(coarse):
    network = on_meta("e_radio_b")
    groups = group_parameters(network, network.group_matcher(coarse))
    members = [name for names in groups.values() for name in names]
    assert sorted(members) == sorted(name for name, _ in network.named_parameters())
    place = {name: group for group, names in groups.items() for name in names}
    level = "backbone.levels"
    rising = (
        "backbone.stem.0.0.weight",
        f"{level}.0.blocks.split.0.weight",
        f"{level}.1.blocks.split.0.weight",
        f"{level}.2.blocks.blocks.0.mlp.0.weight",
        f"{level}.2.blocks.blocks.9.mlp.0.weight",
        f"{level}.2.down.0.weight",
        f"{level}.3.blocks.blocks.4.mlp.0.weight",
        "backbone.neck.branches.0.1.weight",
    )
    order = [place[name] for name in rising]
    assert order == sorted(order)
    assert len(set(order)) >= (5 if coarse else 8)
    for stage in (0, 1):
        c2f = [place[name] for name in members if name.startswith(f"{level}.{stage}.blocks.")]
        assert len(set(c2f)) == 1
    assert len(groups) > (5 if coarse else 15)


def test_position_biases_do_not_decay():
    network = on_meta("e_radio_mini")
    names = network.no_weight_decay()
    assert names
    assert all("position" in name for name in names)
    assert names <= {name for name, _ in network.named_parameters()}


def test_timm_s_graph_tracer_takes_the_backbone_as_one_piece():
    network, pictures = model("e_radio_mini", num_classes=3), torch.randn(1, 3, 64, 64)
    assert any(kind.__name__ == "Backbone" for kind in get_notrace_modules())
    extractor = GraphExtractNet(network, ["backbone", "head.fc"])
    features, logits = extractor(pictures)
    torch.testing.assert_close(features.spatial, network.forward_features(pictures))
    torch.testing.assert_close(logits, network(pictures))


def test_windows_can_be_chosen_when_a_model_is_made_and_later():
    network = model("e_radio_mini", img_size=96)
    assert [one.window for one in network.set_input_size((96, 160))] == [(3, 5), (3, 5)]
    assert [one.window for one in network.set_input_size(64, window_size=2)] == [(2, 2), (2, 2)]


@pytest.mark.parametrize("wanted", [Architecture, dict])
def test_an_architecture_without_a_name_is_a_model_too(wanted):
    architecture = named("e_radio_mini")
    given = architecture if wanted is Architecture else json.loads(architecture.canonical())
    network = timm.create_model(CUSTOM, architecture=given, num_classes=4)
    assert network.backbone.architecture == architecture
    assert network.pretrained_cfg["pool_size"] == (28, 28)
    with pytest.raises(EradioError, match="needs the argument 'architecture'"):
        timm.create_model(CUSTOM)


def test_students_and_official_weights_load_through_timm(tmp_path):
    backbone = build(named("e_radio_mini"), seed=5)
    student = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    torch.save({**student, "heads.clip.spatial.0.weight": torch.ones(2)}, tmp_path / "student.pth")
    overlay = {"file": str(tmp_path / "student.pth"), "num_classes": 0}
    loaded = model("e_radio_mini", pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    assert torch.equal(loaded.backbone.stem[0][0].weight, backbone.stem[0][0].weight)

    names = official_names(**VARIANTS["e_radio_xxxtiny"])
    state = with_tables(filled(names), names, 16, 16)
    torch.save(state, tmp_path / "official.pth")
    overlay = {"file": str(tmp_path / "official.pth")}
    official = model("e_radio_xxxtiny", pretrained=True, pretrained_cfg_overlay=overlay)
    ours = load_official(state).state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in official.backbone.state_dict().items())
    assert torch.equal(official.head.fc.weight, state["head.weight"])
    assert torch.equal(official.norm.running_mean, state["norm.running_mean"])
    grey = model("e_radio_xxxtiny", pretrained=True, in_chans=1, num_classes=3, pretrained_cfg_overlay=overlay)
    assert grey(torch.randn(1, 1, 64, 64)).shape == (1, 3)


@torch.no_grad()
def test_official_weights_bring_what_their_offsets_are_divided_by(tmp_path):
    """Into a network that was made for other windows, as the paper's sizes are."""
    names = official_names(**VARIANTS["e_radio_xxxtiny"])
    state = with_tables(filled(names), names, 7, 16)
    torch.save(state, tmp_path / "official.pth")
    data = named("e_radio_xxxtiny").model_dump()
    for stage in data["stages"][2:]:
        stage |= {"window": 7, "bias_window": None}
    overlay = {"file": str(tmp_path / "official.pth"), "num_classes": 0}
    options = {"architecture": data, "num_classes": 0, "pretrained_cfg_overlay": overlay}
    loaded = model(CUSTOM, pretrained=True, **options)
    backbone, pictures = load_official(state), torch.rand(1, 3, 224, 224)
    given, wanted = loaded(backbone.normalise(pictures)), backbone(pictures).summary
    assert (given - wanted).abs().max() < 1e-4 * wanted.std()
    assert {stage.bias_window for stage in loaded.backbone.architecture.stages[2:]} == {16}


@torch.no_grad()
@pytest.mark.parametrize("stem", [{"width": 8}, {"kind": "unshuffle"}])
def test_weights_for_colour_take_grey_pictures(tmp_path, stem):
    data = {**named("e_radio_mini").model_dump(), "stem": stem}
    colour = model(CUSTOM, architecture=data, num_classes=0)
    torch.save(colour.state_dict(), tmp_path / "colour.pth")
    overlay = {"file": str(tmp_path / "colour.pth"), "num_classes": 0}
    options = {"architecture": data, "num_classes": 0, "pretrained": True, "pretrained_cfg_overlay": overlay}
    pictures = torch.rand(1, 1, 64, 64)
    wanted = colour(pictures.expand(1, 3, 64, 64))
    torch.testing.assert_close(model(CUSTOM, in_chans=1, **options)(pictures), wanted, rtol=1e-4, atol=1e-5)
    assert model(CUSTOM, in_chans=4, **options)(torch.rand(1, 4, 64, 64)).shape == wanted.shape
