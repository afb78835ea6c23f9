"""What is done to vision transformers while they are taught: drawn, exact, and gone at the end."""

from pathlib import Path

import pytest
import timm
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from eradio.cli import run_command
from eradio.distill.recipe import Vit
from eradio.distill.vit import CroppedPositions, SpectralGain, VitTraining, into_windows, out_of_windows
from eradio.search_space import TimmNetwork, build, named

OPTIONS = {"img_size": 64, "patch_size": 8, "embed_dim": 32, "depth": 8, "num_heads": 2, "dynamic_img_size": True}
NETWORK = TimmNetwork(name="vit_tiny_patch16_224", options=OPTIONS)
ALL = Vit(positions=0.3, windows=(2, 4), spectral=True)


def _backbone() -> nn.Module:
    return build(NETWORK, 0)


def _answer(backbone: nn.Module, side: int = 64) -> Tensor:
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        spatial: Tensor = backbone(pictures).spatial
    return spatial


@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_windows_hold_every_token_once_and_are_undone(prefix: int, across: int, window: int, count: int) -> None:
    side = across * window
    tokens = torch.arange(count * (prefix + side**2) * 2.0).reshape(count, -1, 2)
    cut = into_windows(tokens, prefix, side, window)
    assert cut.shape == (count * across**2, prefix + window**2, 2)
    assert torch.equal(out_of_windows(cut, prefix, side, window), tokens)
    grid = torch.arange(side**2).reshape(side, side)
    first = into_windows(grid.reshape(1, -1, 1), 0, side, window)[0].flatten()
    assert torch.equal(first, grid[:window, :window].flatten())


def test_a_spectral_gain_is_the_largest_singular_value_and_follows_the_weights() -> None:
    torch.manual_seed(0)
    weight = torch.randn(48, 32)
    gain = SpectralGain(weight)
    largest = torch.linalg.matrix_norm(weight, 2)
    assert gain.gain.item() == pytest.approx(largest.item(), rel=1e-3)
    assert torch.allclose(gain(weight), weight, rtol=1e-5, atol=1e-6)
    assert torch.allclose(gain(3 * weight), weight, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        gain.gain.copy_(torch.tensor([2.0]))
    changed = weight + torch.randn(48, 32)
    gain.move(changed, 100)
    assert torch.linalg.matrix_norm(gain(changed), 2).item() == pytest.approx(2.0, rel=1e-3)


def test_positions_seen_through_a_window_are_those_of_its_places() -> None:
    """A table that is linear in the place is, within a window, linear in the place within the window."""
    side = 8
    rows = ((torch.arange(side) + 0.5) / side).repeat_interleave(side)
    columns = ((torch.arange(side) + 0.5) / side).repeat(side)
    grid = torch.stack([rows, columns], dim=1)
    table = torch.cat([torch.full((1, 2), 9.0), grid])[None]
    cropped = CroppedPositions((side, side), 1)
    assert torch.equal(cropped(table), table)
    cropped.window = (0.25, 0.125, 0.5, 0.5)
    found = cropped(table)
    assert torch.equal(found[:, 0], table[:, 0])
    assert torch.allclose(found[0, 1:, 0], 0.25 + 0.5 * rows, atol=1e-6)
    assert torch.allclose(found[0, 1:, 1], 0.125 + 0.5 * columns, atol=1e-6)
    assert torch.equal(cropped.eval()(table), table)


def test_evaluation_and_the_finished_network_know_nothing_of_it() -> None:
    backbone = _backbone()
    before, names = _answer(backbone.eval()), list(backbone.state_dict())
    training = VitTraining(backbone, ALL, seed=0)
    training.begin_step(0)
    assert torch.allclose(_answer(backbone), before, atol=1e-3)
    drawn = [_drawn(backbone, training, step) for step in range(4)]
    assert all(not torch.allclose(one, before, atol=0.02) for one in drawn)
    assert not torch.allclose(drawn[0], drawn[1], atol=0.02)
    assert torch.allclose(drawn[0], _drawn(backbone, training, 0), atol=1e-3)
    taught = _answer(backbone.eval())
    training.finish()
    assert sorted(backbone.state_dict()) == sorted(names)
    assert type(backbone.model) is VisionTransformer
    assert torch.allclose(_answer(backbone.train()), taught, rtol=1e-4, atol=1e-5)
    assert torch.allclose(taught, before, atol=1e-2)


def _drawn(backbone: nn.Module, training: VitTraining, step: int) -> Tensor:
    backbone.train()
    training.begin_step(step)
    answer = _answer(backbone)
    backbone.eval()
    return answer


def test_windows_keep_what_is_outside_from_being_seen() -> None:
    """The first of eight blocks is not global, so after it a change in one window has changed nothing in another."""
    backbone = _backbone().train()
    training = VitTraining(backbone, Vit(windows=(4,)), seed=0)
    training.begin_step(0)
    seen: list[Tensor] = []
    backbone.model.blocks[0].register_forward_hook(lambda _, __, answer: seen.append(answer[:, 1:]))
    pictures = torch.rand(1, 3, 64, 64)
    changed = pictures.clone()
    changed[:, :, :32, :32] = 0
    with torch.no_grad():
        backbone(pictures)
        backbone(changed)
    moved = (seen[0] - seen[1]).norm(dim=2).reshape(8, 8)
    assert (moved[:4, :4] > 1e-4).all()
    assert moved[4:, :].max() == 0
    assert moved[:, 4:].max() == 0


def test_other_networks_know_nothing_of_it() -> None:
    for network in (named("e_radio_mini_s"), TimmNetwork(name="resnet10t", options={})):
        backbone = build(network, 0)
        names = list(backbone.state_dict())
        VitTraining(backbone, ALL, seed=0).begin_step(0)
        assert list(backbone.state_dict()) == names


def _recipe(folder: Path, **changes: object) -> str:
    plain = {
        "teachers": [{"kind": kind, "name": kind, "view": "pictures"} for kind in ("clip", "dino")],
        "partitions": [{"batch": 4, "resolution": [64, 48]}],
        "steps": 4,
        "validation": 4,
        "targets": "live",
        "stored": "float32",
        "optimiser": {"warmup": 2, "learning_rate": 1e-4},
        "vit": {"positions": 0.3, "windows": [2, 3, 4], "spectral": True},
        "alignment": {"resolution": [32, 80]},
        "shift": 1,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(plain))
    return str(path)


def test_half_precision_leaves_sigma_in_single() -> None:
    gain = SpectralGain(torch.randn(24, 16, generator=torch.Generator().manual_seed(0)))
    weight = torch.randn(24, 16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = gain(weight)
    assert torch.equal(found, gain(weight))


def test_a_transformer_is_taught_with_all_of_it_and_smaller_pieces_change_nothing_but_rounding(tmp_path: Path) -> None:
    network = tmp_path / "vit.yaml"
    network.write_text(yaml.safe_dump(NETWORK.model_dump(mode="json")))
    recipe = _recipe(tmp_path, average=0.9)
    students = []
    for name, options in (("whole", []), ("cut", ["--micro-batch", "2"]), ("forgetful", ["--checkpointing"])):
        words = ["distill", str(network), "--config", recipe, "--out", str(tmp_path / name), "--device", "cpu"]
        assert run_command([*words, *options]) == 0
        students.append(load_file(tmp_path / name / "student.safetensors"))
    assert "alignment" in (tmp_path / "whole" / "losses.csv").read_text().splitlines()[0]
    whole, *others = students
    plain = timm.create_model(NETWORK.name, num_classes=0, global_pool="", **OPTIONS)
    assert {f"backbone.model.{name}" for name in plain.state_dict()} <= set(whole)
    for other in others:
        apart = sum(float((whole[name].double() - other[name].double()).square().sum()) for name in whole)
        size = sum(float(whole[name].double().square().sum()) for name in whole)
        assert (apart / size) ** 0.5 < 2e-5
