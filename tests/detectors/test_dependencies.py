"""What the package says that it needs is what it imports."""

import ast
import re
import sys
from pathlib import Path

import pytest

import detectors

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"PIL": "pillow"}


def imported() -> set[str]:
    """Distributions that any module of the package imports, wherever in it."""
    names: set[str] = set()
    for path in ROOT.glob("detectors/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    names -= set(sys.stdlib_module_names) | {"detectors"}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in names}


@pytest.mark.parametrize("where", ["docstring", "docs/python.md"])
def test_every_import_is_named(where: str) -> None:
    text = detectors.__doc__ or "" if where == "docstring" else (ROOT / where).read_text(encoding="utf-8")
    found = re.search(r"(?:stands alone: |`detectors` needs )(.*?) and pillow", text, re.DOTALL)
    assert found is not None
    assert {*re.split(r",?\s+", found.group(1)), "pillow"} == imported()
