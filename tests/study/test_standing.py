"""What `eradio status` says."""

import io
from datetime import datetime, timedelta

import optuna
from optuna.trial import TrialState, create_trial
from rich.console import Console

from eradio.study.config import StudyConfig
from eradio.study.lease import Lease, Owner
from eradio.study.standing import standing
from eradio.study.standing_table import standing_tables
from eradio.study.telling import finish

CONFIG = StudyConfig.parse(
    {"trials": 10, "halving": {"rungs": [30], "reduction": 3}, "recipe": {"steps": 90}, "finalists": 0}, "test"
)
NOW = datetime(2026, 1, 1, 12)


def _trials() -> list[optuna.trial.FrozenTrial]:
    """Two complete, one halted, one lost and tried again, one running, one duplicate."""
    hour = timedelta(hours=1)

    def trial(number: int, state: TrialState, values: list[float] | None, minutes: int, **attributes: object):
        return optuna.trial.FrozenTrial(
            number=number,
            trial_id=number,
            state=state,
            value=None,
            values=values,
            params={},
            distributions={},
            datetime_start=NOW - hour,
            datetime_complete=NOW - timedelta(minutes=minutes) if values else None,
            user_attrs={key: value for key, value in attributes.items() if key != "halted"},
            system_attrs={"constraints:halted": attributes["halted"]} if "halted" in attributes else {},
            intermediate_values={},
        )

    went = {"steps": 30, "goes_on": True, "place": 0, "among": 1}
    stayed = {"steps": 30, "goes_on": False, "place": 2, "among": 3}
    lease = Lease(owner=Owner.this(), attempt=2, beat=4, step=17).model_dump(mode="json")
    rung = {"loss_at_30": 1.0}
    done = TrialState.COMPLETE
    return [
        trial(0, done, [0.5, 900.0], 50, end="complete", images_per_second=900.0, halted=0, seconds=1800.0, **rung,
              decision_at_30=went, words="c2f"),
        trial(1, done, [0.4, 500.0], 30, end="complete", images_per_second=500.0, halted=0, seconds=1800.0, **rung,
              decision_at_30=went),
        # Somebody took it for lost in the moment in which its worker told it.
        trial(2, done, [0.3, 9000.0], 20, end="lost", images_per_second=9000.0, halted=1, seconds=900.0, **rung,
              decision_at_30=stayed),
        trial(3, TrialState.FAIL, None, 0, end="lost", **rung, decision_at_30=went),
        trial(4, TrialState.RUNNING, None, 0, retry_of=3, attempt=2, lease=lease, **rung, decision_at_30=went),
        trial(5, done, [0.5, 900.0], 10, end="duplicate", duplicate_of=0),
    ]  # fmt: skip


def _studies() -> dict[str, list[optuna.trial.FrozenTrial]]:
    """Beside the candidates two baselines, of which one was handed back and ended in its second attempt."""
    rivals = optuna.create_study(directions=["minimize", "maximize"])
    rivals.tell(rivals.ask(), state=TrialState.FAIL)
    rivals.enqueue_trial({}, user_attrs={"retry_of": 0, "attempt": 2})
    rivals.tell(rivals.ask(), [0.5, 100.0])
    rivals.ask()
    return {"candidate": _trials(), "baseline": rivals.trials, "finalist": []}


def test_a_candidate_that_keeps_no_constraint_is_called_infeasible_though_it_was_not_taught() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    for throughput in (0.5, -0.5):
        finish(study, study.ask(), [0.9, 100.0], {"throughput": throughput, "halted": 2.0})
    found = standing(CONFIG, {"candidate": study.trials, "baseline": [], "finalist": []}, NOW.timestamp(), NOW)
    assert found.ends == {"infeasible": 1, "halted": 1}


def test_it_is_read_off_the_trials() -> None:
    began = NOW.timestamp() - 2 * 3600
    found = standing(CONFIG, _studies(), began, NOW)
    assert (found.taken, found.asked) == (4, 10)
    assert found.ends == {"complete": 2, "halted": 1, "duplicate": 1}
    assert found.again == {"lost": 1}
    assert [(one.trial, one.attempt, one.step) for one in found.workers] == [("#3", 2, 17), ("baseline 2", 1, 0)]
    assert [(one.name, one.ended, one.known) for one in found.others] == [("baselines", 1, 2)]
    assert [(rung.steps, rung.reached, rung.going) for rung in found.rungs] == [(30, 4, 3), (90, 2, 2)]
    assert [[point.trial for point in front] for front in found.fronts] == [[0, 1]]
    assert found.per_hour == 3.0
    assert found.left == timedelta(hours=7 / 3.0)
    assert found.device_hours == 1.25


def test_what_was_handed_back_is_still_to_be_done() -> None:
    study, hour = optuna.create_study(directions=["minimize", "maximize"]), timedelta(hours=1)
    finish(study, study.ask(), [0.5, 10.0], {})
    for _ in range(3):
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"end": "pre-empted"}))
    for number in (1, 2):  # the next attempt of the third nobody has put in line yet
        study.enqueue_trial({}, user_attrs={"retry_of": number, "attempt": 2})
    now = datetime.now() + timedelta(seconds=1)
    config = CONFIG.model_copy(update={"trials": 4})
    found = standing(config, {"candidate": study.trials, "baseline": []}, (now - hour).timestamp(), now)
    assert (found.taken, found.ends, found.again) == (4, {"complete": 1}, {"pre-empted": 3})
    assert found.left == 3 * hour
    text = io.StringIO()
    Console(file=text, width=80).print(standing_tables(config, found, "here", now))
    assert "about 3 h 00 min left" in text.getvalue()
    assert "Attempts that were not their candidate's last: 3 pre-empted." in text.getvalue()


def test_it_fits_a_terminal() -> None:
    text = io.StringIO()
    began = NOW.timestamp() - 2 * 3600
    found = standing(CONFIG, _studies(), began, NOW, "drain")
    console = Console(file=text, width=80)
    console.print(standing_tables(CONFIG, found, "postgresql://me@host/db", NOW))
    said = text.getvalue()
    for words in (
        "4 of 10 candidates begun",
        "3 an hour",
        "2 h 20 min left",
        "#3",
        "30 steps",
        "front of 2",
        "1 of 2 baselines",
    ):
        assert words in said
    assert "Workers were asked to end after the trials that they hold" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_study_of_which_nothing_has_ended_has_no_rate() -> None:
    found = standing(CONFIG, {"candidate": []}, NOW.timestamp(), NOW)
    assert (found.taken, found.per_hour, found.left) == (0, None, None)
    text = io.StringIO()
    Console(file=text, width=80).print(standing_tables(CONFIG, found, "here", NOW))
    assert "None has ended." in text.getvalue()
