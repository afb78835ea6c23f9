import pytest

from eradio.interval import Interval
from eradio.profile.record import Reference
from eradio.profile.store import keep, known
from tests.profile.test_table import measured


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


OTHER = Reference(canary="canary-1", images_per_second=1000, half_width=0.02)


def test_another_study_uses_a_measurement_in_its_own_unit():
    first = measured()
    keep(first)
    found = known(first.identity, OTHER)
    assert found.reused
    assert found.ratio == first.ratio
    assert found.throughput == Interval(value=1500, low=1470, high=1530)
    assert found.canary == OTHER
    assert found.made_at == first.made_at


def test_another_identity_or_no_unit_finds_nothing():
    keep(measured())
    assert known("another", OTHER) is None
    assert known(measured().identity, None) is None


def test_an_unsettled_measurement_is_made_anew():
    keep(measured("unsettled"))
    assert known("i", OTHER) is None
    keep(measured())
    assert known("i", OTHER) is not None


@pytest.mark.parametrize("text", ["{", "{}", '{"identity": "i"}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path, text):
    path = tmp_path / "eradio" / "measurements" / "i.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert known("i", OTHER) is None
    keep(measured())
    assert known("i", OTHER) is not None


def test_the_first_measurement_stays():
    keep(measured())
    keep(measured().model_copy(update={"calls": 5}))
    assert known("i", OTHER).calls == 99


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "eradio").write_text("a file where the folder should be")
    keep(measured())
    assert known("i", OTHER) is None
