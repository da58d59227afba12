"""Every broken return is refused with the id of what is wrong, and the labels stay as they are, byte for byte."""

import shutil
import tracemalloc
from pathlib import Path

import pytest
from labels.broken import CORPUS, Broken, blanks
from labels.returns import make_workspace

from curate.errors import CurateError
from curate.labels.problems import ADVICE
from curate.pipeline.take_back import RefusedError, TakeBackOptions, take_back
from curate.workspace import Workspace


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One workspace for all: none of the returns may change it."""
    return make_workspace(tmp_path_factory.mktemp("broken") / "w", {})


def content(workspace: Workspace) -> dict[str, bytes]:
    files = (path for path in workspace.root.rglob("*") if path.is_file())
    return {path.relative_to(workspace.root).as_posix(): path.read_bytes() for path in files}


def test_the_corpus_is_large_enough_and_its_names_are_unique() -> None:
    assert len(CORPUS) >= 60
    assert len({broken.name for broken in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("broken", CORPUS, ids=lambda broken: broken.name)
def test_a_broken_return_is_refused(shared: Workspace, tmp_path: Path, broken: Broken) -> None:
    before = content(shared)
    path = broken.make(tmp_path)
    with pytest.raises(RefusedError) as caught:
        take_back(shared, [path], TakeBackOptions())
    (error,) = caught.value.errors
    assert error.problems[0].kind == broken.kind, str(caught.value)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert f"[{broken.kind}]" in message
    assert ADVICE[broken.kind] in message
    assert message.isprintable()
    assert len(message) < 2000
    assert content(shared) == before
    shutil.rmtree(tmp_path)  # half a gigabyte in one case


def test_every_problem_has_a_broken_return() -> None:
    # The last one is of data sets alone.
    elsewhere = {"ambiguous-image", "ambiguous-video", "too-large", "bad-mask"}
    assert {broken.kind for broken in CORPUS} | elsewhere == set(ADVICE)


def test_white_space_is_not_read_into_memory(shared: Workspace, tmp_path: Path) -> None:
    path = blanks(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(CurateError):
            take_back(shared, [path], TakeBackOptions())
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    path.unlink()


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    shared: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.labels.bundle.MAX_FILE_BYTES", 3 * 2**20)
    path = tmp_path / "labels.json"
    path.write_bytes(b"[" + b"1," * 3_000_000)
    with pytest.raises(RefusedError, match=r"more than 3 MiB of labels.*\[too-large\]"):
        take_back(shared, [path], TakeBackOptions())
