import os

import optuna
import pytest

from eradio.search_space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def seed():
    """Fresh for each test, printed where one fails; ERADIO_TEST_SEED repeats it."""
    number = int(os.environ.get("ERADIO_TEST_SEED") or int.from_bytes(os.urandom(3), "big"))
    print(f"ERADIO_TEST_SEED={number}")
    return number


@pytest.fixture
def tiny():
    return SearchSpace.named("tiny")


@pytest.fixture
def study(seed):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
