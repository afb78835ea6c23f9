import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from eradio.errors import EradioError
from eradio.search_space import SearchSpace, build, deploy, named, sample
from eradio.search_space.deploy import fold_norms
from tests.search_space.test_traps import close, hybrid, spread

STEPS = st.sampled_from(["load", "resize", "window", "deploy", "train", "forward"])


@given(steps=st.lists(STEPS, max_size=7), seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_deploy_form_equals_the_training_form_after_anything_in_any_order(steps, seed):
    """Loading, resizing, deploying and running in between change nothing of what deploying gives in the end."""
    random = torch.Generator().manual_seed(seed)
    network = hybrid()
    module, side = spread(build(network)), (64, 64)
    for step in steps:
        side = tuple(int(32 + torch.randint(64, (), generator=random)) for _ in range(2))
        if step == "load":
            module.load_state_dict(spread(build(network), seed=seed).state_dict())
        elif step == "resize":
            module.set_input_size(side)
        elif step == "window":
            module.set_input_size(side, window=3)
        elif step == "deploy":
            deploy(module, side)
        elif step == "train":
            module.train()
        else:
            module(torch.rand(2, 3, *side, generator=random))
    pictures = torch.rand(1, 3, *side, generator=random)
    deployed = deploy(module, side)
    with torch.no_grad():
        for ours, theirs in zip(deployed(pictures), module.eval()(pictures), strict=True):
            close(ours, theirs)


def test_sampled_networks_deploy_exactly(seed):
    """Members of the widest space, at sides that fit no window; in double precision, so that no rounding counts.

    In single precision some of them are chaotic with such weights: their own training form is 1e-5 off by rounding.
    """
    members = (network for network in sample(SearchSpace.named("wide"), seed) if network.stages[0].width <= 48)
    for _, network in zip(range(5), members, strict=False):
        module = spread(build(network), seed)
        side = (48, 70)
        pictures = torch.rand(1, 3, *side)
        exact, wanted = module.double(), pictures.double()
        with torch.no_grad():
            truth = exact(wanted).spatial
            close(deploy(exact, side)(wanted).spatial, truth, 1e-11)
        module.float()
        deployed = deploy(module, side)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
        with torch.no_grad():
            own = (module(pictures).spatial - truth).abs().max() / truth.std()
            close(deployed(pictures).spatial, module(pictures).spatial, max(1e-5, 4 * own.item()))


def test_the_training_form_is_left_alone():
    module = build(named("e_radio_mini_s"))
    before = copy.deepcopy(module.state_dict())
    deployed = deploy(module, (64, 64))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training
    assert not any(part.training for part in deployed.modules())
    assert not any(parameter.requires_grad for parameter in deployed.parameters())


def test_another_size_is_refused_in_a_sentence():
    deployed = deploy(build(named("e_radio_mini_s")), (64, 64))
    with pytest.raises(EradioError, match="deployed for 64x64 pixels, not 96x64"):
        deployed(torch.rand(1, 3, 96, 64))


def test_weights_of_the_training_form_are_refused_in_a_sentence():
    module = build(named("e_radio_mini_s"))
    deployed = deploy(module, (64, 64))
    with pytest.raises(EradioError, match="Load them into the training form"):
        deployed.load_state_dict(module.state_dict())
    deployed.load_state_dict(deploy(build(named("e_radio_mini_s"), seed=3), (64, 64)).state_dict())


@torch.no_grad()
def test_a_norm_that_cannot_be_folded_stays():
    """Before a convolution that pads, zeros are no longer what the norm would have made of them."""
    kept = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)).eval()
    spread(kept)
    x = torch.rand(1, 3, 5, 5)
    expected = kept(x)
    fold_norms(kept)
    assert isinstance(kept[0], nn.BatchNorm2d)
    assert torch.equal(kept(x), expected)
