"""The suite that every data set must pass: subclass it and give it one."""

import pickle

import numpy as np
import pytest

from eradio.distill.data import Dataset


class DatasetContract:
    """A subclass defines the fixture `make`, which opens the same data set each time it is called."""

    @pytest.fixture
    def make(self):
        raise NotImplementedError

    def test_pictures_are_bytes_of_three_channels(self, make):
        data: Dataset = make()
        for index in (0, len(data) // 2, len(data) - 1):
            pixels = data.picture(index)
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3

    def test_the_same_number_is_the_same_picture_whoever_asks(self, make):
        first, second = make(), make()
        numbers = [0, min(3, len(first) - 1), len(first) - 1]
        backwards = {number: second.picture(number) for number in reversed(numbers)}
        assert all(np.array_equal(first.picture(number), backwards[number]) for number in numbers)

    def test_the_digest_is_the_data_s(self, make):
        assert make().digest == make().digest
        assert len(make().digest) == 16

    def test_it_goes_to_other_processes(self, make):
        data = make()
        other = pickle.loads(pickle.dumps(data))
        assert np.array_equal(other.picture(0), data.picture(0))
