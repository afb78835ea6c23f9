import pytest

from eradio.distill.teachers import load_teacher
from eradio.errors import EradioError
from eradio.files import read_json
from eradio.interval import Interval
from eradio.pretrain import train
from eradio.pretrain.card import CARD, markdown
from eradio.pretrain.held_out import scores
from eradio.pretrain.train import build, save


def test_a_trained_folder_is_a_teacher_with_its_card(tmp_path):
    spec = train("sam", tmp_path, steps=1, held_out=8)
    teacher = load_teacher(spec)
    card = read_json(tmp_path / CARD)
    assert card["digest"] == teacher.digest
    assert card["steps"] == 1
    assert "box-prompt IoU, test" in card["metrics"]
    assert teacher.digest in (tmp_path / "card.md").read_text()
    assert train("sam", tmp_path, steps=1) == spec
    with pytest.raises(EradioError, match="another training"):
        train("sam", tmp_path, steps=2)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "blip", "steps": 1}, "no teacher of kind 'blip'"),
        ({"kind": "sam"}, "how long to train"),
        ({"kind": "sam", "steps": 1, "minutes": 1}, "how long to train"),
        ({"kind": "sam", "steps": 0}, "at least one step"),
    ],
)
def test_mistakes_are_sentences(given, sentence, tmp_path):
    with pytest.raises(EradioError, match=sentence):
        train(folder=tmp_path, **given)


def test_weights_are_a_pure_function_of_the_seed():
    first, again, other = (build("dino", seed).state_dict() for seed in (0, 0, 1))
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_scores_of_each_kind_lie_in_their_intervals(tmp_path):
    for kind, wanted in (("clip", "zero-shot top-1"), ("dino", "k-NN top-1, untrained")):
        teacher = save(build(kind, 0), tmp_path / kind)
        answer = scores(teacher, teacher, queries=40, gallery=60)
        assert wanted in answer
        assert all(0 <= score.low <= score.value <= score.high <= 1 for score in answer.values())
        assert answer["k-NN top-1"] == answer["k-NN top-1, untrained"]


def test_the_card_shows_per_cent():
    page = markdown("owl", {"steps": 3}, {"hits": Interval(value=0.5, low=0.25, high=0.75)})
    assert "| hits | 50.0 (25.0 to 75.0) |" in page
    assert "- steps: 3" in page
