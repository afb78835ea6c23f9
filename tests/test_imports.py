"""Imports run one way, as docs/architecture.md has it."""

import ast
from pathlib import Path

import pytest

import eradio

ROOT = Path(eradio.__file__).parent
ROOMS = sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file())
MAY = {
    "scenes": set(),
    "search_space": set(),
    "distill": {"scenes", "search_space"},
    "profile": {"search_space"},
    "evaluation": set(),
    "export": {"search_space"},
    "subjects": {"search_space", "distill", "profile", "export"},
    "pretrain": {"distill", "evaluation", "scenes"},
    "study": {"scenes", "search_space", "distill", "profile", "evaluation", "pretrain", "subjects"},
    "analysis": {"study", "profile", "distill"},
}


def _imported(path: Path) -> set[str]:
    """Names of the rooms that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "eradio" and len(part) > 1 and part[1] in ROOMS}


def test_every_room_is_in_the_table() -> None:
    assert sorted(MAY) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for path in sorted((ROOT / room).rglob("*.py")):
        assert _imported(path) <= MAY[room] | {room}, path


def test_the_ground_imports_no_room() -> None:
    for path in sorted(ROOT.glob("*.py")):
        if path.name not in {"cli.py", "cli_study.py", "__main__.py"}:
            assert _imported(path) == set(), path
