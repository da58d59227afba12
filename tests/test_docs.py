"""The documentation names commands, options, files and links that exist."""

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from curate.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
CALL = re.compile(r"(?:^|`|\$ )(?:\w+=\S+ )?curate (\w+)([^`\n#]*)", re.MULTILINE)


def test_the_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `curate (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    for command, arguments in CALL.findall(page.read_text()):
        assert command in COMMANDS, f"{page.name}: curate {command}"
        known = {
            option for parameter in COMMANDS[command].params for option in parameter.opts + parameter.secondary_opts
        }
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", arguments):
            assert option in known, f"{page.name}: curate {command} {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_scripts_that_are_called_exist(page: Path) -> None:
    for script in re.findall(r"python\s+((?:examples|benchmarks|docs)/[\w/]+\.py)", page.read_text()):
        assert (ROOT / script).is_file(), f"{page.name}: {script}"


def test_the_help_of_every_command_has_an_example() -> None:
    for name, command in COMMANDS.items():
        assert isinstance(command, typer.core.TyperCommand)
        assert f"curate {name}" in (command.help or ""), name
