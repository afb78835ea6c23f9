"""Writing tensors: whole or not at all, and a refusal of the system is a sentence."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from eradio.errors import EradioError
from eradio.tensors import write_state, write_tensors


@contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    """Let the system refuse files larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    weights = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16)}
    write_tensors(tmp_path / "sub" / "weights.safetensors", weights)
    read = load_file(tmp_path / "sub" / "weights.safetensors")
    assert all(torch.equal(read[name], weights[name]) for name in weights)

    write_state(tmp_path / "state.pt", {"step": 3, "student": weights})
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["step"] == 3
    assert torch.equal(state["student"]["a"], weights["a"])


@pytest.mark.parametrize("write", [write_tensors, write_state])
def test_a_refused_write_is_a_sentence_and_keeps_the_old_file(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "weights"
    write(path, {"a": torch.zeros(10)})
    old = path.read_bytes()
    with _files_up_to(len(old) + 1000), pytest.raises(EradioError, match=f"Cannot write {path}: File too large"):
        write(path, {"a": torch.zeros(10_000)})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
