"""What `index` says of the files that it was given, and of the pool."""

from pathlib import Path

import pytest
from videos import write_numbered_video

from curate.pipeline.index import index
from curate.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", imgsz=80)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with one good video, of four candidates."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_numbered_video(folder / "good.mp4")
    return folder


def test_broken_files_of_equal_content_and_name_are_each_skipped(workspace: Workspace, videos: Path) -> None:
    good = videos / "good.mp4"
    bad = [videos / folder / "clip.mp4" for folder in ("cam1", "cam2", "cam3")]
    cut = [videos / folder / "cut.mp4" for folder in ("cam1", "cam2")]
    for path in (*bad, *cut):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if path in bad else good.read_bytes()[:300])
    for read in (6, 0):
        result = index(workspace, [str(videos)])
        assert (result.sources, result.read) == (1, read)
        assert [one.path for one in result.skipped] == [str(path) for path in sorted((*bad, *cut))]
        assert {one.reason for one in result.skipped if one.path.endswith("clip.mp4")} == {"empty file (0 bytes)"}


def test_copies_of_a_good_video_are_one_source_and_none_is_skipped(workspace: Workspace, videos: Path) -> None:
    (videos / "copy").mkdir()
    (videos / "copy" / "good.mp4").write_bytes((videos / "good.mp4").read_bytes())
    result = index(workspace, [str(videos)])
    assert (result.sources, result.unlabeled, result.skipped) == (1, 4, ())
