import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.evaluation import knn, zero_shot
from eradio.evaluation.knn import histograms


def test_vote_is_weighted_by_similarity():
    """Two fair neighbours of class 1 outvote one perfect of class 0 only if exp(s / 0.07) says so."""
    query = torch.tensor([[1.0, 0.0]])
    near = math.acos(0.99)
    gallery = torch.tensor([[1.0, 0.0], [math.cos(near), math.sin(near)], [math.cos(near), -math.sin(near)]])
    labels = torch.tensor([0, 1, 1])
    assert 2 * math.exp(0.99 / 0.07) > math.exp(1 / 0.07)
    assert knn(gallery, labels, query, torch.tensor([1])).value == 1
    far = torch.tensor([[1.0, 0.0], [0.9, math.sqrt(1 - 0.81)], [0.9, -math.sqrt(1 - 0.81)]])
    assert 2 * math.exp(0.9 / 0.07) < math.exp(1 / 0.07)
    assert knn(far, labels, query, torch.tensor([0])).value == 1


def test_only_the_nearest_vote():
    gallery = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.98, 0.2]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, -0.05]])
    assert knn(gallery, labels, query, torch.tensor([0]), neighbours=1).value == 1
    assert knn(gallery, labels, query, torch.tensor([0]), neighbours=3).value == 0


@given(st.floats(0.01, 100), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_length_of_features_does_not_matter(scale, seed):
    random = torch.Generator().manual_seed(seed)
    gallery, queries = torch.randn(30, 5, generator=random), torch.randn(20, 5, generator=random)
    known, labels = torch.arange(30) % 3, torch.arange(20) % 3
    stretched = queries * scale * (1 + torch.rand(20, 1, generator=random))
    assert knn(gallery, known, stretched, labels) == knn(gallery, known, queries, labels)


def test_zero_shot_counts_right_answers_and_brackets_them():
    classes = torch.eye(4)
    summaries = classes.repeat(50, 1) * 3
    labels = torch.arange(200) % 4
    labels[:50] = (labels[:50] + 1) % 4
    answer = zero_shot(summaries, classes, labels)
    assert answer.value == 0.75
    assert 0.6 < answer.low < 0.75 < answer.high < 0.9


def test_histograms_count_every_pixel_and_ignore_place():
    pictures = torch.rand(2, 3, 8, 8)
    counted = histograms(pictures)
    assert counted.shape == (2, 64)
    assert (counted.sum(1) == 64).all()
    assert torch.equal(counted, histograms(pictures.flip(3)))
