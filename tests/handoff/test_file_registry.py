"""Choices are files: found by name, loaded on demand, unknown and double names refused."""

import sys
from pathlib import Path

import pytest

from curate.errors import UsageError
from curate.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    folder = tmp_path / "one" / "made_choices"
    folder.mkdir(parents=True)
    for name in [name for name in sys.modules if name.split(".")[0] == "made_choices"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_no_choices(package: Path) -> None:
    registry = Registry("made_choices", "thing")
    assert registry.names() == ()
    with pytest.raises(UsageError, match=r"thing 'x': unknown; choose from \(none\)"):
        registry.load("x")


def test_a_file_is_a_choice(package: Path) -> None:
    (package / "label_studio.py").write_text("VALUE = 5")
    (package / "broken.py").write_text("raise RuntimeError('imported')")
    (package / "_shared.py").write_text("")
    (package / "notes.txt").write_text("")
    registry = Registry("made_choices", "thing")
    assert registry.names() == ("broken", "label-studio")
    assert registry.load("label-studio").VALUE == 5
    with pytest.raises(RuntimeError, match="imported"):
        registry.load("broken")


@pytest.mark.parametrize("name", ["cvat", "_shared", "label_studio", "../x", ""])
def test_unknown_names_list_the_choices(package: Path, name: str) -> None:
    (package / "label_studio.py").write_text("")
    (package / "coco.py").write_text("")
    with pytest.raises(UsageError, match="unknown; choose from coco, label-studio"):
        Registry("made_choices", "thing").load(name)


def test_two_files_of_one_name(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "two" / "made_choices"
    other.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    (package / "coco.py").write_text("")
    (other / "coco.py").write_text("")
    with pytest.raises(RuntimeError, match="two modules are named 'coco'"):
        Registry("made_choices", "thing").names()


def test_not_a_package() -> None:
    with pytest.raises(RuntimeError, match="not a package"):
        Registry("json.decoder", "thing").names()
