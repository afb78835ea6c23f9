"""Draws that follow from the seed, the trial's number and the trials seen; samplers of OptunaHub."""

import sys

import optuna
import pytest

from eradio.errors import EradioError
from eradio.search_space import SearchSpace
from eradio.study.config import StudyConfig
from eradio.study.samplers import KINDS, sampler

SPACE = SearchSpace.named("tiny")
PACKAGE = '''
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

class OneSampler(RandomSampler):
    """Another one."""

class ChoosingSampler(BaseSampler):
    """Decides before each trial which sampler it is, as an automatic one does."""
    def __init__(self, seed):
        self._seed, self._chosen = seed, RandomSampler(seed=seed)
    def before_trial(self, study, trial):
        together = {"multivariate": True, "group": True, "constant_liar": True}
        self._chosen = TPESampler(seed=self._seed, n_startup_trials=8, **together)
    def infer_relative_search_space(self, study, trial):
        return self._chosen.infer_relative_search_space(study, trial)
    def sample_relative(self, study, trial, search_space):
        return self._chosen.sample_relative(study, trial, search_space)
    def sample_independent(self, study, trial, param_name, param_distribution):
        return self._chosen.sample_independent(study, trial, param_name, param_distribution)

class Seedless(BaseSampler):
    def __init__(self): ...
    def infer_relative_search_space(self, study, trial): return {}
    def sample_relative(self, study, trial, search_space): return {}
    def sample_independent(self, study, trial, param_name, param_distribution): ...
'''


def study(seed=0, kind="random"):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=["minimize", "maximize"], sampler=sampler(kind, seed))


def draw(one, halted=False):
    trial = one.ask()
    values = [float(sum(map(len, map(str, SPACE.suggest(trial).canonical().split(","))))), float(trial.number % 7)]
    if halted:
        trial.set_constraint("halted", 1)
    one.tell(trial, values)
    return trial.params


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gp"])
def test_a_worker_that_comes_later_draws_as_one_that_was_there_all_along(kind):
    one, other = study(3, kind), study(3, kind)
    for _ in range(60):
        other.sampler = sampler(kind, 3)
        assert draw(one) == draw(other)


@pytest.mark.slow
def test_gaussian_processes_draw_the_same_again():
    one, other = study(3, "gp"), study(3, "gp")
    for _ in range(11):
        assert draw(one) == draw(other)
    assert draw(one) == draw(other)


def test_another_seed_draws_other_networks():
    assert draw(study(1)) != draw(study(2))


def test_the_order_in_which_trials_are_suggested_does_not_matter():
    one, other = study(), study()
    first, second = one.ask(), one.ask()
    SPACE.suggest(second)
    SPACE.suggest(first)
    third, fourth = other.ask(), other.ask()
    SPACE.suggest(third)
    SPACE.suggest(fourth)
    assert (first.params, second.params) == (third.params, fourth.params)


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_what_was_halted_is_learned_from_as_infeasible(kind):
    one, other = study(0, kind), study(0, kind)
    drawn = [(draw(one), draw(other, halted=number % 2 == 0)) for number in range(70)]
    assert [a for a, _ in drawn] != [b for _, b in drawn]


@pytest.mark.parametrize("kind", ["grid", "", "hub:"])
def test_an_unknown_sampler_is_refused(kind):
    with pytest.raises(EradioError, match="sampler"):
        StudyConfig.parse({"sampler": kind}, "study.yaml")
    if kind != "hub:":
        with pytest.raises(EradioError, match="There is no sampler"):
            sampler(kind, 0)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    pytest.importorskip("optunahub")
    for name, text in {"x": PACKAGE, "empty": "", "needy": "import no_such_package", "broken": "1 / 0"}.items():
        (tmp_path / "samplers" / name).mkdir(parents=True)
        (tmp_path / "samplers" / name / "__init__.py").write_text(text, encoding="utf-8")
    (tmp_path / "samplers" / "only").mkdir()
    (tmp_path / "samplers" / "only" / "__init__.py").write_text(
        '__all__ = ["OneSampler"]\nfrom .one import OneSampler\n', encoding="utf-8"
    )
    (tmp_path / "samplers" / "only" / "one.py").write_text(PACKAGE, encoding="utf-8")
    monkeypatch.setenv("ERADIO_HUB", str(tmp_path))
    return tmp_path


def test_a_sampler_of_a_local_registry(registry, monkeypatch):
    expected = draw(study(0, "random"))
    assert draw(study(0, "hub:samplers/only")) == expected
    assert draw(study(0, "hub:samplers/x:OneSampler")) == expected
    monkeypatch.delenv("ERADIO_HUB")
    assert draw(study(0, f"hub:{registry}/samplers/only")) == expected
    assert StudyConfig(sampler="hub:samplers/only").sampler == "hub:samplers/only"


def test_a_sampler_that_decides_before_a_trial_which_one_it_is(registry):
    one, other = study(0, "hub:samplers/x:ChoosingSampler"), study(0, "tpe")
    assert [draw(one) for _ in range(30)] == [draw(other) for _ in range(30)]


def test_a_sampler_that_has_come_to_rest_is_helped_by_chance():
    def distinct(marked):
        one, known = study(0, "tpe"), {}
        for _ in range(80):
            trial = one.ask()
            width = trial.suggest_int("width", 1, 64)
            if marked and width in known:
                trial.set_user_attr("duplicate_of", known[width])
            known.setdefault(width, trial.number)
            one.tell(trial, [float(abs(width - 7)), -float(abs(width - 7))])
        return len(known)

    assert distinct(marked=True) > distinct(marked=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("samplers/x", "offers hub:samplers/x:ChoosingSampler, hub:samplers/x:OneSampler, hub:samplers/x:Seedless"),
        ("samplers/x:Other", "offers"),
        ("samplers/x:Seedless", "takes no seed"),
        ("samplers/empty", "holds no sampler"),
        ("samplers/none", "no package 'samplers/none'"),
        ("samplers/needy", "needs no_such_package"),
        ("samplers/broken", "cannot be loaded"),
        ("/nowhere/at/all", "folder /nowhere/at has no package 'all'"),
    ],
)
def test_what_a_registry_lacks_is_said_in_a_sentence(registry, name, words):
    with pytest.raises(EradioError, match=words) as caught:
        sampler(f"hub:{name}", 0)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_registry_may_be_a_folder(monkeypatch):
    hub = pytest.importorskip("optunahub")

    def unreachable(package):
        raise OSError("Could not resolve host")

    monkeypatch.delenv("ERADIO_HUB", raising=False)
    monkeypatch.setattr(hub, "load_module", unreachable)
    with pytest.raises(EradioError, match=r"Could not resolve host.*ERADIO_HUB"):
        sampler("hub:samplers/auto_sampler", 0)


def test_without_optunahub_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optunahub", None)
    with pytest.raises(EradioError, match=r"eradio\[hub\]"):
        sampler("hub:samplers/auto_sampler", 0)
