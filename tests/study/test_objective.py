import pytest

from eradio.profile import Protocol, Target, calibrate
from eradio.search_space import named
from eradio.study import objective
from eradio.study.config import StudyConfig
from eradio.study.objective import measured
from eradio.study.run import open_run

QUICK = Protocol(min_seconds=0.02, max_seconds=0.04, warm_up_seconds=0.02, looks=2, half_width=0.9)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(folder, **target):
    run = open_run(folder, StudyConfig(target=Target(engine="eager", batch=2, protocol=QUICK, **target)))
    calibrate(run.config.target, canary_folder=folder, lock=None)
    return run


def taken(run, network, path):
    return measured(run, network, run.config.target, path)


@pytest.fixture
def undisturbed(monkeypatch):
    """A machine that nobody else uses, as far as the protocol can see."""
    monkeypatch.setattr("eradio.profile.throughput.steady", lambda canary: True)
    monkeypatch.setattr("eradio.profile.throughput.as_usual", lambda canary, usual: True)


@pytest.mark.usefixtures("undisturbed")
def test_another_study_on_this_machine_uses_a_measurement_again_in_its_own_unit(tmp_path, monkeypatch):
    network = named("e_radio_mini_s")
    first, second = opened(tmp_path / "a"), opened(tmp_path / "b")
    made = taken(first, network, tmp_path / "a" / "0")
    assert made.verdict == "settled"
    monkeypatch.setattr(objective, "measure", None)  # it must not be called any more
    again = taken(second, network, tmp_path / "b" / "0")
    assert again.reused
    assert not made.reused
    assert again.ratio == made.ratio
    assert again.throughput == made.ratio.scaled(again.canary.images_per_second)
    assert taken(second, network, tmp_path / "b" / "0") == again


def test_another_target_or_environment_is_measured_anew(tmp_path, monkeypatch):
    network = named("e_radio_mini_s")
    made = taken(opened(tmp_path / "a"), network, tmp_path / "a" / "0")
    threads = taken(opened(tmp_path / "b", threads=2), network, tmp_path / "b" / "0")
    assert not threads.reused
    monkeypatch.setattr("eradio.profile.record.environment", lambda: {"cpu": "another", "libraries": {}})
    elsewhere = taken(opened(tmp_path / "c"), network, tmp_path / "c" / "0")
    assert not elsewhere.reused
    assert len({made.identity, threads.identity, elsewhere.identity}) == 3


def test_an_int8_target_is_calibrated_on_the_study_s_own_pictures(tmp_path):
    target = Target(engine="onnxruntime", precision="int8", batch=2, protocol=QUICK)
    run = open_run(tmp_path / "a", StudyConfig(target=target))
    found = taken(run, named("e_radio_mini_s"), tmp_path / "a" / "0")
    assert found.agreement.max_error > 1e-4
