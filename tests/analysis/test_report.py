"""The report: one page that opens offline, holds the records' numbers, and lets no text become markup."""

import csv
import re
from html.parser import HTMLParser

import pytest

from eradio.analysis import report
from eradio.analysis.report import write_report
from eradio.errors import EradioError
from tests.analysis.made_up import baseline, failed, finalist, scored, study, trial, whole

FILES = {"report.html", "pareto.png", "pareto.svg", "curves.svg", "trials.csv", "front.csv", "finalists.csv"}
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether every element is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], set(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page(run, folder):
    return Page(write_report(run, folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return folder, page(whole(), folder)


def test_all_files_are_written_and_nothing_else(full):
    folder, _ = full
    assert {path.name for path in folder.iterdir()} == FILES


def test_the_page_needs_no_script_and_no_address(full):
    _, found = full
    assert found.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img", "base", "form"})
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in {"href", "xlink:href", "src"}:
            assert value.startswith("#")
        assert "url(http" not in (value or "")
    assert "@import" not in found.text


def test_ids_are_unique_and_every_reference_inside_the_page_is_met(full):
    _, found = full
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name, value in found.attributes if name in {"href", "xlink:href"}}
    wanted |= {match for _, value in found.attributes for match in re.findall(r"url\(#([^)]+)\)", value or "")}
    assert wanted <= set(ids)


def test_the_numbers_on_the_page_are_the_records(full):
    _, found = full
    run = whole()
    best = min((one for one in run.trials if one.score and one.role == "candidate"), key=lambda one: one.score.loss)
    assert f"{best.score.loss:.4f}" in found.text
    assert best.words in found.text
    assert "The loss was not finite at step 40." in found.text
    assert "the same network as #3" in found.text
    assert "A made-up CPU" in found.text
    assert "aaaabbbbccccdddd" in found.text
    assert "rungs:" in found.text
    assert "0.620 ± 0.020" in found.text
    assert "28 distinct candidates and 12 baselines in 10 min" in found.text
    assert "The searched front is larger than the baselines'" in found.text


def test_the_csv_files_are_read_back(full):
    folder, _ = full
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 42
    with (folder / "front.csv").open(encoding="utf-8", newline="") as lines:
        front = list(csv.DictReader(lines))
    chosen = [row["number"] for row in rows if row["role"] == "candidate" and row["on_front"] == "True"]
    assert sorted(row["number"] for row in front) == sorted(chosen)


HOSTILE = "<script>alert('x')</script>\"'&$\\frac{}</td></table><img src=x onerror=y>"


def test_hostile_text_stays_text(tmp_path):
    odd = baseline(0, "vit", 900, 0.4).model_copy(update={"name": HOSTILE, "words": HOSTILE, "digest": HOSTILE})
    ours = trial(1, words=HOSTILE, network={"stages": [{"kind": HOSTILE}], HOSTILE: HOSTILE})
    run = study(
        [ours, odd, failed(2, reason=HOSTILE)],
        [finalist(odd), finalist(ours)],
        name=HOSTILE,
        config={HOSTILE: [HOSTILE]},
        environment={HOSTILE: HOSTILE, "cpu": HOSTILE},
        digests={HOSTILE: HOSTILE},
    )
    found = page(run, tmp_path)
    assert found.tags.isdisjoint({"script", "img"})
    assert HOSTILE in found.text


def test_a_very_long_name_is_cut(tmp_path):
    odd = baseline(0, "vit", 900, 0.4).model_copy(update={"name": "n" * 9000})
    assert "n" * 200 not in page(study([trial(1), odd], name="n" * 9000), tmp_path).text


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (study(environment={}, digests={}, config={}, seconds=None), "there is no searched front"),
        (study([failed(0)]), "1 candidate failed"),
        (study([trial(0)]), "there is nothing to compare the front with"),
        (study([baseline(0, "vit", 900, 0.4)]), "there is no searched front"),
        (study([trial(0, network={}, words="", manifest={}, curve=())]), "no network left a training curve"),
    ],
)
def test_a_study_with_little_in_it_has_a_page_with_a_sentence(tmp_path, run, sentence):
    assert sentence in page(run, tmp_path).text
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_an_earlier_report_is_replaced(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("old")
    assert "1 distinct candidate " in page(study([trial(0)]), tmp_path).text
    assert not any((tmp_path / name).read_bytes() == b"old" for name in FILES)


def test_a_file_that_cannot_be_replaced_is_a_sentence(tmp_path):
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(EradioError, match=r"Cannot write .*trials\.csv"):
        write_report(study([trial(0)]), tmp_path)


def test_a_halted_candidate_says_where_it_was_halted_and_keeps_its_text_text(tmp_path):
    halted = trial(
        1, 9000, 0.1, state="halted", end="halted", reason="place 3 of 3 <b>after</b>", score=scored(0.1, 500)
    )
    shown = page(study([trial(0), halted]), tmp_path)
    assert "(halted: place 3 of 3 <b>after</b>)" in shown.text
    assert "No trial failed." in shown.text


def test_a_long_study_s_page_lists_the_latest_trials_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MOST_ROWS", 3)
    trials = [trial(number, 1000 - 100 * number, 0.5 + number / 100, words=f"word{number}.") for number in range(5)]
    reasons = [failed(number, reason=f"reason{number}.") for number in range(5, 10)]
    found = page(study([*trials, *reasons]), tmp_path).text
    assert "These are the latest 3 candidates of 10." in found
    assert "These are the latest 3 trials of 5 that failed" in found
    assert [f"reason{number}." in found for number in range(5, 10)] == [False, False, True, True, True]
    assert "word1." not in found
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 10
