import json
from itertools import islice

import pytest
import torch

from eradio.description import read_yaml
from eradio.errors import EradioError
from eradio.search_space import Architecture, SearchSpace, build, named, sample

SMALL = """
name: small
stem: {width: [8]}
width: [8, 16, 40]
stages:
  - {kind: [c2f], factor: [1], depth: [1, 2, 4]}
  - kind: [residual, attention]
    factor: [2, 3]
    depth: [1]
    attention: {pattern: [[local], [global], [global-sub2]], heads: [2], window: [2, 4], enter: [conv, pool],
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
            assert "window" not in asked or any(entry not in ("global", "linear") for entry in pattern)
            assert "enter" not in asked or any("sub" in entry for entry in pattern)
            assert "local_conv" not in asked or "local" in pattern
            assert "bias_width" not in asked or set(pattern) != {"linear"}
            assert "kernel" not in asked or stage.kind == "convnext"
            assert "expansion" not in asked or stage.kind in ("convnext", "fused_mbconv")


def test_the_families_are_all_in_the_default_space(tiny):
    """Purely convolutional, purely attentive and mixed: every stage may be of every kind, whatever the others are."""
    assert all(set(stage.kind) == {"c2f", "residual", "attention"} for stage in tiny.stages)


def test_every_shipped_space_gives_networks_that_learn(seed):
    """Of the two larger spaces, the members that are small enough for a test."""
    for name in ("e_radio", "wide"):
        small = (one for one in sample(SearchSpace.named(name), seed) if one.stages[0].width <= 48)
        for architecture in islice(small, 3):
            module = build(architecture)
            features = module(torch.rand(2, 3, 64, 64))
            (features.summary.square().mean() + features.spatial.square().mean()).backward()
            for key, parameter in module.named_parameters():
                assert parameter.grad is not None, key
                assert parameter.grad.isfinite().all(), key


def test_the_paper_s_family_is_in_the_space_around_it(study):
    space = SearchSpace.named("e_radio")
    for name in ("e_radio_xt", "e_radio_t", "e_radio_s", "e_radio_b", "e_radio_l"):
        study.enqueue_trial(space.encode(named(name)))
        assert space.suggest(study.ask()) == named(name)


@pytest.mark.parametrize("name", ["e_radio", "wide"])
def test_encode_undoes_suggest_in_the_larger_spaces(name, study):
    space, digests = SearchSpace.named(name), {}
    for _ in range(100):
        trial = study.ask()
        architecture = space.suggest(trial)
        assert space.encode(architecture) == trial.params
        assert digests.setdefault(architecture.digest(), trial.params) == trial.params


def test_the_wide_space_holds_every_kind_in_every_stage_and_all_families():
    families = [frozenset(stage.kind for stage in one.stages) for one in islice(sample(SearchSpace.named("wide")), 600)]
    convolutions = {"c2f", "residual", "convnext", "fused_mbconv"}
    assert any(family <= convolutions for family in families)
    assert any(family == {"attention"} for family in families)
    assert any("attention" in family and len(family) > 2 for family in families)
    for stage in SearchSpace.named("wide").stages:
        assert set(stage.kind) == {*convolutions, "attention"}


def test_count_is_the_number_of_distinct_members(space):
    # Stage 0: 3 depths. Stage 1: 2 factors; residual, or attention that is global, or local with 2 windows and 2
    # convolutions, or sub-sampled with 2 windows and 2 ways in.
    assert space.count() == 3 * 3 * 2 * (1 + 1 + 2 * 2 + 2 * 2)
    assert len({one.digest() for one in sample(space)}) == space.count()
    assert {one.digest() for one in space.members()} == {one.digest() for one in sample(space)}
    assert sum(1 for _ in space.members()) == space.count()


def test_the_neck_can_be_left_out_and_follow_the_width(tmp_path, study):
    path = tmp_path / "neck.yaml"
    path.write_text(SMALL + "neck: {present: [true, false], start: [0], factor: [2, 4], branch: [shuffle, deconv]}\n")
    space, seen = SearchSpace.from_yaml(path), set()
    for _ in range(40):
        trial = study.ask()
        architecture = space.suggest(trial)
        assert space.encode(architecture) == trial.params
        neck = architecture.neck
        assert (neck is None) == ("neck_factor" not in trial.params)
        seen.add(None if neck is None else neck.width // architecture.stages[0].width)
    assert seen == {None, 2, 4}


def test_a_sample_is_distinct_and_follows_its_seed(tiny):
    first, again, other = (list(islice(sample(tiny, seed), 20)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({one.digest() for one in first}) == 20


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


BIASED = {"kind": "attention", "width": 16, "depth": 1, "heads": 2, "pattern": ["local"], "window": 2, "bias_window": 7}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a["stages"][0].update(depth=3), "its stage0_depth is 3, and the space offers 1, 2, 4"),
        (lambda a: a["stages"][1].update(width=12), "its stage1_factor is 1.5"),
        (lambda a: a["stages"][1].update(kind="c2f"), "its stage1_kind is c2f"),
        (lambda a: a["stages"].pop(), "whose members have 2 stages and no neck"),
        (lambda a: a.update(neck={"start": 0, "width": 8}), "whose members have 2 stages and no neck"),
        (lambda a: a["stem"].update(width=9), "its stem_width is 9"),
        (lambda a: a["stages"].__setitem__(1, BIASED), "leave 'bias_window' to the window"),
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
        ("[[local], [global], [global-sub2]]", "[[local, local]]", r"repeats \['local'\]"),
        ("window: [2, 4], ", "", "add 'window'"),
        ("[residual, attention]", "[residual]", "go together"),
        ("name: small", "name: small\nneck: {start: [1], width: [8]}", "before the last stage"),
        ("stem: {width: [8]}", "stem: {kind: [unshuffle], width: [8]}", "kind 'conv' and 'width' go together"),
        ("name: small", "name: small\nneck: {start: [0]}", "either 'width' or 'factor'"),
        ("[[local], [global], [global-sub2]]", "[[localy]]", "no such attention"),
        ("depth: [1]", "depth: [1]\n    conv: {kernel: [3, 4]}", "kernel 4 is even"),
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
    with pytest.raises(EradioError, match="There is no space 'huge'; use e_radio, tiny, tiny_grid, wide"):
        SearchSpace.named("huge")


def test_the_yaml_is_the_whole_space(space, tmp_path):
    assert SearchSpace.parse(read_yaml(tmp_path / "small.yaml"), "here").digest() == space.digest()
