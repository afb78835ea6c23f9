import json

import pytest
import torch

from eradio.errors import EradioError
from eradio.profile import Protocol, Target, complexity
from eradio.profile.canary import VERSION, Canary, reference_for
from eradio.profile.record import Reference


def rate(value):
    return Reference(canary=VERSION, images_per_second=value, half_width=0.01)


def never():
    raise AssertionError("calibrated again")


def test_this_version_is_this_network():
    canary = Canary()
    paper = complexity(canary, 64)
    assert (VERSION, paper.parameters, round(paper.gmacs * 1e9)) == ("canary-1", 173_280, 7_084_032)
    weights = torch.cat([parameter.double().flatten() for parameter in canary.parameters()])
    assert float(weights.sum()) == pytest.approx(-14.0427, abs=1e-3)
    assert float(weights.abs().sum()) == pytest.approx(8960.4416, abs=1e-3)


@pytest.mark.parametrize("side", [16, 64, 100])
def test_it_takes_any_side_and_its_outputs_are_finite(side):
    outputs = Canary()(torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)))
    assert outputs.shape == (2, 128)
    assert bool(torch.isfinite(outputs).all())
    assert not torch.allclose(outputs[0], outputs[1])


def test_the_rate_is_calibrated_once_and_kept(tmp_path):
    assert reference_for(Target(), tmp_path, lambda: rate(100.0)) == rate(100.0)
    assert reference_for(Target(), tmp_path, never) == rate(100.0)


def test_another_target_has_another_rate_but_another_protocol_has_not(tmp_path):
    reference_for(Target(), tmp_path, lambda: rate(100.0))
    assert reference_for(Target(protocol=Protocol(looks=1)), tmp_path, never) == rate(100.0)
    for number, changed in enumerate(
        [Target(engine="eager"), Target(batch=4), Target(resolution=96), Target(threads=2)]
    ):
        assert reference_for(changed, tmp_path, lambda n=number: rate(n + 1.0)) == rate(number + 1.0)
    assert reference_for(Target(), tmp_path, never) == rate(100.0)


def test_a_rate_from_another_environment_is_neither_used_nor_lost(tmp_path):
    reference_for(Target(), tmp_path, lambda: rate(100.0))
    path = tmp_path / "canary.json"
    (stored,) = json.loads(path.read_text())["references"].values()
    path.write_text(json.dumps({"references": {"0123456789abcdef": stored}}))
    assert reference_for(Target(), tmp_path, lambda: rate(50.0)) == rate(50.0)
    assert len(json.loads(path.read_text())["references"]) == 2


@pytest.mark.parametrize("text", ["{", '{"references": {"a": 3}}', "[]"])
def test_a_spoilt_store_is_a_sentence(tmp_path, text):
    (tmp_path / "canary.json").write_text(text)
    with pytest.raises(EradioError, match=r"canary\.json"):
        reference_for(Target(), tmp_path, never)


def test_a_calibration_that_fails_leaves_no_rate(tmp_path):
    with pytest.raises(ZeroDivisionError):
        reference_for(Target(), tmp_path, lambda: rate(1 / 0))
    assert reference_for(Target(), tmp_path, lambda: rate(2.0)) == rate(2.0)
    assert len(json.loads((tmp_path / "canary.json").read_text())["references"]) == 1
