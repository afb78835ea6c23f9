import json

import pytest
import torch

from eradio.description import read_yaml
from eradio.errors import EradioError
from eradio.search_space import Architecture, SearchSpace, build, named

SMALL = """
name: small
stem_width: [8]
width: [8, 16, 40]
stages:
  - {kind: [c2f], factor: [1], depth: [1, 2, 4]}
  - kind: [residual, attention]
    factor: [2, 3]
    depth: [1]
    attention: {pattern: [[1], [0], [2]], heads: [2], window: [2, 4], enter: [conv, pool],
                local_conv: [dense, none]}
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return SearchSpace.named(str(path))


def test_every_sampled_architecture_learns(tiny, study):
    """Builds, runs both ways at 64 pixels, and every parameter gets a finite gradient."""
    for _ in range(6):
        architecture = tiny.suggest(study.ask())
        module = build(architecture)
        features = module(torch.rand(2, 3, 64, 64))
        assert features.summary.shape == (2, module.summary_width)
        assert features.spatial.shape[1:] == (module.spatial_width, *2 * (64 // architecture.output_stride(),))
        (features.summary.square().mean() + features.spatial.square().mean()).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert (parameter.grad != 0).any(), name


def test_encode_undoes_suggest(tiny, study):
    digests = {}
    for _ in range(100):
        trial = study.ask()
        architecture = tiny.suggest(trial)
        assert tiny.encode(architecture) == trial.params
        assert Architecture.parse(json.loads(architecture.canonical()), "there") == architecture
        study.enqueue_trial(tiny.encode(architecture))
        again = study.ask()
        assert tiny.suggest(again) == architecture
        assert again.params == trial.params
        known = digests.setdefault(architecture.digest(), trial.params)
        assert known == trial.params, "two sets of parameters gave one network"


def test_only_meaningful_parameters_are_asked_for(tiny, study):
    for _ in range(100):
        trial = study.ask()
        for index, stage in enumerate(tiny.suggest(trial).stages):
            asked = {name.removeprefix(f"stage{index}_") for name in trial.params if name.startswith(f"stage{index}")}
            pattern = getattr(stage, "pattern", ())
            assert ("pattern" in asked) == ("mlp_ratio" in asked) == bool(pattern)
            assert "window" not in asked or any(pattern)
            assert "enter" not in asked or max(pattern) > 1
            assert "local_conv" not in asked or 1 in pattern


def test_the_families_are_all_in_the_default_space(tiny, study):
    kinds = [frozenset(stage.kind for stage in tiny.suggest(study.ask()).stages) for _ in range(400)]
    assert any(members <= {"c2f", "residual"} for members in kinds)
    assert frozenset({"attention"}) in kinds
    assert any("attention" in members and len(members) > 1 for members in kinds)


def test_miniatures_are_members(tiny, study):
    for name in ("e_radio_mini_s", "e_radio_mini"):
        study.enqueue_trial(tiny.encode(named(name)))
        assert tiny.suggest(study.ask()) == named(name)


def test_ordered_choices_are_told_to_the_sampler(space, study):
    while True:
        trial = study.ask()
        if space.suggest(trial).stages[1].kind == "attention" and "stage1_window" in trial.params:
            break
    kinds = {name: type(one).__name__ for name, one in trial.distributions.items()}
    assert kinds["stage1_window"] == "IntDistribution"
    assert kinds["width"] == "CategoricalDistribution"  # 8, 16, 40 have no even step
    assert "stem_width" not in kinds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a["stages"][0].update(depth=3), "its stage0_depth is 3, and the space offers 1, 2, 4"),
        (lambda a: a["stages"][1].update(width=12), "its stage1_factor is 1.5"),
        (lambda a: a["stages"][1].update(kind="c2f"), "its stage1_kind is c2f"),
        (lambda a: a["stages"].pop(), "whose members have 2 stages and no neck"),
        (lambda a: a.update(neck={"start": 0, "width": 8}), "whose members have 2 stages and no neck"),
        (lambda a: a["stem"].update(width=9), "its stem_width is 9"),
    ],
)
def test_strangers_are_refused_in_a_sentence(space, change, words):
    conv = [{"kind": "c2f", "width": 8, "depth": 1}, {"kind": "residual", "width": 16, "depth": 1}]
    data = {"stem": {"width": 8}, "stages": conv}
    assert space.encode(Architecture.parse(data, "here"))
    change(data)
    with pytest.raises(EradioError, match=words):
        space.encode(Architecture.parse(data, "here"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("factor: [1]", "factor: [1, 2]", "the first stage's factor must be"),
        ("heads: [2]", "heads: [5]", "stage 1: width 16 is not divisible by 5 heads"),
        ("width: [8, 16, 40]", "width: [7]", "stage 0: c2f needs an even width, not 7"),
        ("width: [8, 16, 40]", "width: [8, 8]", "name one twice"),
        ("[[1], [0], [2]]", "[[1, 1]]", r"repeats \[1\]"),
        ("window: [2, 4], ", "", "add 'window'"),
        ("[residual, attention]", "[residual]", "go together"),
        ("name: small", "name: small\nneck: {start: [1], width: [8]}", "before the last stage"),
        ("depth: [1]", "depth: []", "stages.1.depth"),
        ("depth: [1]", "deepness: [1]", "deepness"),
    ],
)
def test_mistakes_in_a_space_are_sentences(tmp_path, old, new, words):
    assert old in SMALL
    path = tmp_path / "space.yaml"
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(EradioError, match=words):
        SearchSpace.from_yaml(path)


def test_an_unknown_space_names_the_known_ones():
    with pytest.raises(EradioError, match="There is no space 'huge'; use tiny"):
        SearchSpace.named("huge")


def test_the_yaml_is_the_whole_space(space, tmp_path):
    assert SearchSpace.parse(read_yaml(tmp_path / "small.yaml"), "here").digest() == space.digest()
