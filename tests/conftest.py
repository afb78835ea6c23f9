"""What every test process does first."""

import gc
import os

import pytest

from eradio.profile.engines import load_engine

# Whoever imports OpenVINO first decides whether it reports home and writes into the home folder; the engine sees to it
# that it does not, so it must come before any test module that imports the library itself.
load_engine("openvino")

pytest_plugins = ["tests.services"]


@pytest.fixture(autouse=True, scope="session")
def _no_cache_of_the_user_s(tmp_path_factory):
    """Neither read nor written: a measurement kept there would be another run's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_cache_of_another_test(tmp_path_factory, monkeypatch):
    """As above: which test of a process comes first must not decide what the next one finds measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _no_storage_of_the_user_s(monkeypatch):
    """No test's trials go where the user keeps studies."""
    for name in ("ERADIO_STORAGE", "PGPASSWORD", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _garbage_is_looked_for():
    """Commands that end their process leave what they made to its end; a test's process goes on."""
    yield
    gc.unfreeze()


@pytest.fixture
def seed():
    """Fresh for each test, printed where one fails; ERADIO_TEST_SEED repeats it."""
    number = int(os.environ.get("ERADIO_TEST_SEED") or int.from_bytes(os.urandom(3), "big"))
    print(f"ERADIO_TEST_SEED={number}")
    return number
