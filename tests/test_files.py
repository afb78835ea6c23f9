"""What is written and read as JSON."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.errors import EradioError
from eradio.files import parsed_json, read_json, write_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_json_is_read_as_the_standard_library_reads_it(plain: object) -> None:
    assert parsed_json(json.dumps(plain)) == plain


def test_the_name_of_a_file_that_is_no_text_is_kept(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "\udcff.png")
    assert read_json(tmp_path / "a.json") == "\udcff.png"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1,]"])
def test_what_is_no_json_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(EradioError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")
