import pytest
import torch

from eradio.errors import EradioError
from eradio.pretrain.loop import Run, learning_rate, run
from tests.distill.teachers.conftest import tiny

STEPS = 6


def settings_of(objective):
    return Run(kind=objective.kind, steps=STEPS, seed=0, data=objective.data_digest)


@pytest.mark.parametrize("kind", ["clip", "dino", "sam"])
def test_an_interrupted_training_ends_with_the_same_weights(kind, tmp_path):
    whole = tiny(kind)
    losses = run(whole, tmp_path / "whole", settings_of(whole))
    first = tiny(kind)
    run(first, tmp_path / "parts", settings_of(first), until=2)
    second = tiny(kind)
    resumed = run(second, tmp_path / "parts", settings_of(second))
    assert resumed == losses
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["clip", "dino", "sam"])
def test_training_lowers_the_loss_of_a_batch(kind):
    objective = tiny(kind)
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    before = objective.loss(0).item()
    for _ in range(15):
        optimizer.zero_grad()
        objective.loss(0).backward()
        optimizer.step()
    assert objective.loss(0).item() < before - 0.1


def test_another_run_s_checkpoint_is_refused(tmp_path):
    objective = tiny("sam")
    run(objective, tmp_path, settings_of(objective), until=1)
    other = settings_of(objective).model_copy(update={"seed": 1})
    with pytest.raises(EradioError, match="other settings"):
        run(tiny("sam"), tmp_path, other)


def test_learning_rate_rises_then_falls_to_a_hundredth():
    rates = [learning_rate(step, 1000, 1.0) for step in range(1000)]
    assert max(rates) == 1
    peak = rates.index(1)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)
