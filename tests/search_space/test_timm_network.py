import pytest
import torch

from eradio.errors import EradioError
from eradio.search_space import TimmNetwork, build, describe

VIT = {"img_size": 64, "patch_size": 16, "embed_dim": 16, "depth": 1, "num_heads": 2}


def features(name, side=(64, 64), **options):
    module = build(TimmNetwork(name=name, options=options))
    result = module(torch.rand(2, 3, *side))
    assert result.summary.shape == (2, module.summary_width)
    assert result.spatial.shape[:2] == (2, module.spatial_width)
    return module, result


def test_a_transformer_answers_with_its_class_token():
    module, result = features("vit_tiny_patch16_224", **VIT)
    assert result.spatial.shape == (2, 16, 4, 4)
    pictures = torch.rand(1, 3, 64, 64)
    tokens = module.eval().model.forward_features(module.normalise(pictures))
    torch.testing.assert_close(module(pictures).summary, tokens[:, 0])
    torch.testing.assert_close(module(pictures).spatial[:, :, 1, 2], tokens[:, 1 + 4 * 1 + 2])


def test_a_transformer_without_a_class_token_answers_with_the_mean():
    _, result = features("vit_tiny_patch16_224", **VIT, class_token=False, global_pool="avg")
    torch.testing.assert_close(result.summary, result.spatial.mean(dim=(2, 3)))


def test_non_square_pictures():
    assert features("resnet10t", (32, 96))[1].spatial.shape[2:] == (1, 3)
    assert features("vit_tiny_patch16_224", (32, 96), **VIT, dynamic_img_size=True)[1].spatial.shape[2:] == (2, 6)


def test_maps_with_channels_last_inside_timm_come_out_with_channels_first():
    options = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 2]}
    assert features("swin_tiny_patch4_window7_224", **options)[1].spatial.shape == (2, 48, 8, 8)


def test_pictures_are_normalised_inside():
    module, _ = features("resnet10t")
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    torch.testing.assert_close(module.normalise(grey), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet10", {}, "timm has no model 'resnet10'; did you mean .*resnet101"),
        ("resnet18", {"colour": 1}, "timm cannot build .*'resnet18'.*colour"),
        ("resnet18", {"output_stride": 7}, "timm cannot build .*'resnet18'"),
    ],
)
def test_what_timm_refuses_is_a_sentence(name, options, words):
    with pytest.raises(EradioError, match=words):
        build(TimmNetwork(name=name, options=options))


@pytest.mark.parametrize(
    ("options", "side", "words"),
    [
        (VIT, (32, 32), "takes 64x64 pixels, not 32x32"),
        (VIT | {"dynamic_img_size": True}, (40, 64), "no whole number of 16x16 patches"),
    ],
)
def test_wrong_sides_are_sentences(options, side, words):
    with pytest.raises(EradioError, match=words):
        features("vit_tiny_patch16_224", side, **options)


def test_description_and_digest_follow_the_options():
    one, same, other = (TimmNetwork(name="resnet18", options={"output_stride": s}) for s in (16, 16, 32))
    assert one.digest() == same.digest() != other.digest()
    assert describe(one) == "timm resnet18 (output_stride 16)"
