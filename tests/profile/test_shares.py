import pytest
import torch
from torch import nn

from eradio.profile.ready import deployed
from eradio.profile.shares import shares
from eradio.subjects import find


class Slow(nn.Module):
    """A matrix product that takes `turns` times as long as one."""

    def __init__(self, turns):
        super().__init__()
        self.turns = turns
        self.weight = nn.Parameter(torch.randn(256, 256))

    def forward(self, x):
        for _ in range(self.turns):
            y = self.weight @ self.weight
        return x + 0 * y[0, 0]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Slow(20)
        self.levels = nn.ModuleList([Slow(20), nn.Sequential(Slow(20), Slow(100))])

    def forward(self, x):
        x = self.stem(x)
        for level in self.levels:
            x = level(x)
        return x


def test_each_part_has_the_share_of_what_it_does():
    found = shares(Network().eval(), torch.rand(1, 3, 8, 8), threads=1)
    stages = {one.name: one.share for one in found.stages}
    assert list(stages)[:3] == ["stem", "stage 0", "stage 1"]
    assert stages["stem"] == pytest.approx(1 / 8, rel=0.35)
    assert stages["stage 1"] == pytest.approx(6 / 8, rel=0.15)
    assert {one.name for one in found.kinds} <= {"Slow", "between"}
    assert sum(stages.values()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", ["e_radio_mini_s", "timm/convnext_atto", "timm/vit_tiny_patch16_224", "shipped/clip"])
def test_networks_of_every_origin_are_taken_apart(name):
    module = deployed(find(name, 64).module, 64)
    found = shares(module, torch.rand(2, 3, 64, 64), threads=1)
    for account in (found.stages, found.kinds):
        assert len(account) >= 3
        assert sum(one.share for one in account) == pytest.approx(1.0, abs=0.02)
    between = next((one.share for one in found.stages if one.name == "between"), 0.0)
    assert between < 0.4


def test_ours_are_told_by_stage_and_by_kind_of_attention():
    module = deployed(find("e_radio_mini_s", 64).module, 64)
    found = shares(module, torch.rand(2, 3, 64, 64), threads=1)
    assert {"stem", "stage 0", "stage 1", "stage 2", "stage 3", "neck"} <= {one.name for one in found.stages}
    assert {"local attention", "global-sub2 attention", "C2f"} <= {one.name for one in found.kinds}


def test_a_part_that_is_looped_over_instead_of_called_gives_way_to_its_children():
    class Looping(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(Slow(10), Slow(10))
            self.norm = Slow(1)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.norm(x)

    found = shares(Looping().eval(), torch.rand(1, 3, 8, 8), threads=1)
    assert {"blocks.0", "blocks.1"} <= {one.name for one in found.stages}


def test_the_network_is_left_without_hooks():
    network = Network().eval()
    shares(network, torch.rand(1, 3, 8, 8), threads=1)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_what_a_network_does_itself_between_its_parts_is_told():
    class Doing(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = Slow(30), Slow(30)

        def forward(self, x):
            x = self.first(x)
            for _ in range(60):
                y = self.first.weight @ self.first.weight
            return self.last(x + 0 * y[0, 0])

    found = shares(Doing().eval(), torch.rand(1, 3, 8, 8), threads=1)
    assert {one.name: one.share for one in found.stages}["between"] == pytest.approx(0.5, abs=0.25)
