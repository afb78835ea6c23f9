import shutil

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry

from eradio.distill.teachers import TeacherSpec, load_teacher, shipped
from eradio.distill.teachers.files import WEIGHTS, read_config, read_weights, write_config, write_weights
from eradio.errors import EradioError
from eradio.files import read_json
from eradio.pretrain.card import CARD

SHIPPED_BYTES = 12_000_000


def spec_of(kind, path, **more):
    return TeacherSpec(kind=kind, name="mine", weights=str(path), **more)


def test_shipped_weights_match_their_cards_and_fit_the_wheel():
    specs = shipped()
    assert [spec.kind for spec in specs] == ["clip", "dino", "sam"]
    for spec in specs:
        card = read_json(spec.path() / CARD)
        teacher = load_teacher(spec)
        assert card["digest"] == teacher.digest
        assert card["parameters"] == sum(parameter.numel() for parameter in teacher.parameters())
        assert all(score["low"] <= score["value"] <= score["high"] for score in card["metrics"].values())
    assert sum(file.stat().st_size for spec in specs for file in spec.path().iterdir()) < SHIPPED_BYTES


@pytest.mark.parametrize("kind", ["clip", "dino", "sam"])
def test_every_weight_is_loaded(kind, folders):
    stored = read_weights(folders[kind] / WEIGHTS)
    teacher = load_teacher(spec_of(kind, folders[kind]))
    network = {"clip": "clip", "dino": "vit", "sam": "sam"}[kind]
    loaded = getattr(teacher, network).state_dict()
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)


@pytest.mark.parametrize("kind", ["clip", "dino", "sam"])
def test_digest_follows_weights_and_configuration(kind, folders, tmp_path):
    other = tmp_path / kind
    shutil.copytree(folders[kind], other)
    assert load_teacher(spec_of(kind, other)).digest == load_teacher(spec_of(kind, folders[kind])).digest
    stored = read_weights(other / WEIGHTS)
    name = max(stored, key=lambda key: stored[key].numel())
    write_weights(other, {**stored, name: stored[name] + 1})
    changed = load_teacher(spec_of(kind, other)).digest
    assert changed != load_teacher(spec_of(kind, folders[kind])).digest
    if kind == "clip":
        config = read_config(other, kind)
        config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
        write_config(other, kind, config)
        assert load_teacher(spec_of(kind, other)).digest != changed


def test_open_clip_opens_the_shipped_folder_itself():
    folder = shipped()[0].path()
    clip, *_ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    teacher = load_teacher(shipped()[0])
    pictures = torch.rand(2, 3, teacher.resolution, teacher.resolution)
    mean, std = torch.tensor(clip.visual.image_mean), torch.tensor(clip.visual.image_std)
    with torch.no_grad():
        own = clip.eval().encode_image((pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert torch.allclose(teacher(pictures).summary, own, atol=1e-4)


def test_timm_checkpoint_of_a_published_model(tmp_path):
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    spec = spec_of("dino", tmp_path / "vit.safetensors", model="vit_tiny_patch16_224", resolution=96)
    teacher = load_teacher(spec)
    assert teacher.resolution == 96
    assert teacher(torch.rand(1, 3, 96, 96)).spatial.shape == (1, 192, 6, 6)
    assert torch.equal(teacher.vit.blocks[0].mlp.fc1.weight, vit.blocks[0].mlp.fc1.weight)


def test_open_clip_checkpoint_of_a_published_model(tmp_path):
    clip = open_clip.create_model("ViT-S-32-alt", pretrained_text=False)
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    teacher = load_teacher(spec_of("clip", tmp_path / "clip.pt", model="ViT-S-32-alt"))
    assert teacher.resolution == 224
    assert teacher(torch.rand(1, 3, 224, 224)).spatial.shape == (1, 384, 7, 7)
    assert teacher.class_embeddings(["a cat"]).shape == (1, 256)


def test_segment_anything_checkpoint_of_a_published_model(tmp_path):
    with torch.device("meta"):
        names = sam_model_registry["vit_b"](checkpoint=None).state_dict().keys()
    torch.save({name: torch.zeros(1) for name in names}, tmp_path / "sam.pth")
    with pytest.raises(EradioError, match="do not fit the sam model"):
        load_teacher(spec_of("sam", tmp_path / "sam.pth", model="vit_b"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": "/nowhere/dino.safetensors", "model": "vit_tiny_patch16_224"}, "no file /nowhere/dino"),
        ({"weights": "/nowhere"}, "weights are missing"),
        ({"weights": __file__}, "add 'model'"),
        ({"weights": __file__, "model": "resnet_of_dreams"}, "timm knows no model 'resnet_of_dreams'"),
        ({"weights": __file__, "model": "vit_tiny_patch16_224"}, "damaged or holds more than plain tensors"),
    ],
)
def test_mistakes_are_sentences(change, sentence):
    with pytest.raises(EradioError, match=sentence):
        load_teacher(TeacherSpec(kind="dino", name="mine", **change))


def test_an_empty_folder_is_a_sentence(tmp_path):
    for kind in ("clip", "dino", "sam"):
        with pytest.raises(EradioError, match="missing"):
            load_teacher(spec_of(kind, tmp_path))


def test_code_in_a_checkpoint_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("this must never run",))

    torch.save({"weights": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(EradioError, match="more than plain tensors"):
        load_teacher(spec_of("dino", tmp_path / "trap.pt", model="vit_tiny_patch16_224"))


def test_specs_that_contradict_themselves():
    with pytest.raises(EradioError, match="remove 'model'"):
        TeacherSpec.parse({"kind": "clip", "name": "a", "model": "ViT-B-32"}, "here")
    with pytest.raises(EradioError, match="remove 'resolution'"):
        TeacherSpec.parse({"kind": "sam", "name": "a", "resolution": 512}, "here")
