"""What the pages show is what the program does."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from eradio.cli import run_command
from eradio.distill.recipe import Recipe
from eradio.search_space import named
from eradio.search_space.diagram import as_svg
from eradio.study.config import StudyConfig

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted({match for page in PAGES for match in re.findall(r"`eradio ([a-z]+(?: [a-z]+)?)", page.read_text())})


@pytest.mark.no_cover
def test_the_table_of_networks_is_what_they_count_to() -> None:
    import draw_networks

    assert (ROOT / "docs" / "networks.md").read_text(encoding="utf-8") == draw_networks.page()
    for name in draw_networks.DRAWN:
        drawn = as_svg(name, named(name), (draw_networks.SIDE, draw_networks.SIDE))
        assert (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8") == drawn


def test_the_schema_of_profiles_is_that_of_the_program() -> None:
    import write_schema

    assert write_schema.PATH.read_text(encoding="utf-8") == write_schema.schema()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_a_page_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *more = command.split()
    words = [verb, *more] if verb in ("space", "teachers") else [verb]
    assert run_command([*words, "--help"]) == 0
    assert "Example: eradio" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_a_page_links_to_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_python_on_the_pages_is_python() -> None:
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            compile(code, page.name, "exec")


def test_the_recipe_on_the_page_is_the_default_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "distill.md").read_text(encoding="utf-8"), re.S)
    assert Recipe.parse(yaml.safe_load(text), "docs/distill.md") == Recipe()


def test_the_study_on_the_page_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "search.md").read_text(encoding="utf-8"), re.S)
    config = StudyConfig.parse(yaml.safe_load(text), "docs/search.md")
    assert config.rungs == (30, 90, 270)
