import copy

import openvino
import pytest
import torch

from eradio.errors import EradioError
from eradio.search_space import Architecture, build, named

CONV = [{"kind": "residual", "width": 8 * 2**i, "depth": 1} for i in range(3)]


def backbone(neck, stages=CONV):
    return build(Architecture.parse({"stem": {"width": 8}, "stages": stages, "neck": neck}, "here"))


@pytest.mark.parametrize("branch", ["resample", "shuffle"])
@pytest.mark.parametrize(("start", "stride"), [(0, 4), (1, 8), (2, 16)])
def test_the_neck_answers_at_the_stride_of_its_start(start, stride, branch):
    module = backbone({"start": start, "width": 20, "branch": branch})
    features = module(torch.rand(2, 3, 32, 64))
    assert features.spatial.shape == (2, 20, 32 // stride, 64 // stride)
    assert features.summary.shape == (2, 20) == (2, module.summary_width)


def test_without_a_neck_the_last_map_is_the_output():
    module = backbone(None)
    assert module(torch.rand(1, 3, 64, 32)).spatial.shape == (1, 32, 4, 2)
    assert module.spatial_width == 32


@pytest.mark.parametrize("side", [(64, 64), (32, 96), (50, 70), (7, 40)])
def test_any_side_gives_the_rounded_up_map_and_its_mean(side):
    features = build(named("e_radio_mini_s")).eval()(torch.rand(2, 3, *side))
    assert features.spatial.shape[2:] == (-(-side[0] // 8), -(-side[1] // 8))
    torch.testing.assert_close(features.summary, features.spatial.mean(dim=(2, 3)))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 64, 64, 3)])
def test_what_is_no_batch_of_pictures_is_refused(shape):
    with pytest.raises(EradioError, match=r"give pictures as \[B, 3, H, W\]"):
        backbone(None)(torch.rand(shape))


def test_train_and_eval_agree_in_shape_and_eval_is_repeatable():
    module = build(named("e_radio_mini_s"))
    pictures = torch.rand(2, 3, 64, 64)
    trained = module.train()(pictures)
    first, second = module.eval()(pictures), module(pictures)
    assert [f.shape for f in trained] == [f.shape for f in first]
    assert torch.equal(first.spatial, second.spatial)


def test_channels_last_changes_nothing_but_the_layout():
    module = build(named("e_radio_mini_s")).eval()
    pictures = torch.rand(2, 3, 64, 64)
    moved = copy.deepcopy(module).to(memory_format=torch.channels_last)
    features = moved(pictures.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(features.spatial, module(pictures).spatial, rtol=1e-3, atol=1e-5)


def test_random_weights_hold_no_zero_and_follow_the_seed():
    network = named("e_radio_mini_s")
    one, same, other = (dict(build(network, seed).named_parameters()) for seed in (1, 1, 2))
    assert all((value != 0).all() for value in one.values())
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build(named("e_radio_mini_s"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def every_entry():
    """Local, sub-sampled and global attention, both convolutional blocks, and maps that do not fit."""
    stages = [
        {"kind": "c2f", "width": 8, "depth": 1},
        {"kind": "residual", "width": 16, "depth": 1},
        {
            "kind": "attention",
            "width": 16,
            "depth": 1,
            "heads": 2,
            "pattern": ["global-sub2", "local", "global"],
            "window": 3,
        },
    ]
    return backbone({"start": 1, "width": 12}, stages).eval()


def test_export_gives_the_same_features(every_entry):
    pictures = torch.rand(2, 3, 32, 48)
    exported = torch.export.export(every_entry, (pictures,)).module()
    torch.testing.assert_close(exported(pictures).spatial, every_entry(pictures).spatial, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_openvino_gives_the_same_features(every_entry):
    pictures = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        traced = torch.jit.trace(every_entry, pictures, check_trace=False)
        model = openvino.convert_model(torch.jit.freeze(traced), input=[2, 3, 32, 48])
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    summary, spatial = compiled(pictures.numpy()).values()
    expected = every_entry(pictures)
    torch.testing.assert_close(torch.from_numpy(spatial), expected.spatial, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(torch.from_numpy(summary), expected.summary, rtol=1e-3, atol=1e-4)
