"""Files that earlier attempts left: sound, spoiled, or out of reach."""

from pathlib import Path

import pytest

from eradio.errors import PassingError
from eradio.profile.memory import Footprint
from eradio.study.kept import kept, set_aside

SOUND = '{"outcome": "fits", "peak_bytes": 7}'


def test_what_is_sound_is_read_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    assert kept(Footprint, path) is None
    path.write_text(SOUND)
    assert kept(Footprint, path) == Footprint(outcome="fits", peak_bytes=7)
    assert path.exists()


@pytest.mark.parametrize("content", ["", SOUND[:20], '{"outcome": "of another version"}'])
def test_what_is_spoiled_is_set_aside(content: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_text(content)
    assert kept(Footprint, path) is None
    assert [one.name for one in tmp_path.iterdir()] == ["memory.json.unreadable"]
    set_aside(path)  # as a second worker may


def test_a_disk_that_does_not_answer_says_nothing_about_a_file(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.mkdir()  # which cannot be read as a file
    with pytest.raises(PassingError, match="Cannot read"):
        kept(Footprint, path)
    assert path.exists()
