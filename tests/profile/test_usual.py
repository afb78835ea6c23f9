import numpy as np
import pytest

from eradio.errors import EradioError
from eradio.profile import Target
from eradio.profile.canary import VERSION
from eradio.profile.record import Reference
from eradio.profile.usual import remember_run, usual_canary

UNIT = Reference(canary=VERSION, images_per_second=100.0, half_width=0.01)
TARGET = Target(batch=2)


def usual(folder):
    return usual_canary(UNIT, TARGET, folder)


def test_what_is_usual_is_what_the_fastest_runs_took(tmp_path):
    assert usual(tmp_path).seconds == 0.02
    remember_run(TARGET, tmp_path, 0.03)
    assert usual(tmp_path).seconds == 0.02
    remember_run(TARGET, tmp_path, 0.015)
    assert usual(tmp_path).seconds == 0.015
    for _ in range(13):
        remember_run(TARGET, tmp_path, 0.018)
    assert usual(tmp_path).seconds == 0.018  # of sixteen one may be luck
    assert usual_canary(UNIT, Target(batch=4), tmp_path).seconds == 0.04


def test_a_machine_that_is_slower_for_good_becomes_the_usual_one(tmp_path):
    for _ in range(32):
        remember_run(TARGET, tmp_path, 0.04)
    assert usual(tmp_path).seconds == 0.04


def test_the_scatter_is_that_of_undisturbed_runs(tmp_path):
    times = 0.02 * np.random.default_rng(0).lognormal(0, 0.01, 24)
    for number, seconds in enumerate(times):
        assert (usual(tmp_path).scatter == 0) == (number < 4)
        remember_run(TARGET, tmp_path, float(seconds))
        if number % 4 == 0 and number > 4:
            remember_run(TARGET, tmp_path, 0.03)
    assert usual(tmp_path).scatter == pytest.approx(0.01, rel=0.4)


def test_a_run_that_cannot_be_remembered_is_not_lost_for_it(tmp_path):
    (tmp_path / "canary-runs.json").write_text("{")
    remember_run(TARGET, tmp_path, 0.03)
    with pytest.raises(EradioError, match=r"canary-runs\.json"):
        usual(tmp_path)
