import optuna
import pytest

from eradio.search_space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def tiny():
    return SearchSpace.named("tiny")


@pytest.fixture
def study(seed):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
