"""What `index` says of the files that it was given, and of the pool."""

from pathlib import Path

import pytest
from videos import write_numbered_video

from curate.pipeline.index import index
from curate.pool import Pool
from curate.types import Sampling
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


def states(workspace: Workspace) -> dict[str, int]:
    pool = Pool.load(workspace)
    return {state: count for state in ("unlabeled", "labeled", "ignored") if (count := pool.count(state))}


def test_the_whole_pool_is_counted_with_what_is_of_other_paths_and_samplings(
    workspace: Workspace, videos: Path, tmp_path: Path
) -> None:
    other = write_numbered_video(tmp_path / "other.mp4", frames=30, first_number=100)
    first = index(workspace, [str(videos)])
    assert (first.sources, first.unlabeled, first.elsewhere, first.samplings) == (1, 4, 0, ())
    second = index(workspace, [str(other)], sampling=Sampling(stride=1))
    assert (second.sources, second.unlabeled, second.elsewhere) == (2, 34, 4)
    assert second.samplings == ("every 0.5 s",)
    both = index(workspace, [str(videos), str(other)])
    assert (both.sources, both.unlabeled, both.elsewhere, both.samplings) == (2, 34, 0, ("all frames",))


def test_frames_of_a_file_that_is_gone_are_no_candidates_until_it_is_back(workspace: Workspace, videos: Path) -> None:
    lost = write_numbered_video(videos / "lost.mp4", first_number=100)
    index(workspace, [str(videos)])
    pool = Pool.load(workspace)
    pool.set_state([name for name in pool.frames["frame_id"].to_pylist() if name.endswith(":00000015")], "labeled")
    pool.save(workspace)
    aside = lost.rename(videos.parent / "lost.mp4")
    assert index(workspace, [str(videos / "good.mp4")]).gone == (), "its folder is not among the paths"
    result = index(workspace, [str(videos)])
    assert (result.gone, result.gone_frames, result.unlabeled, result.skipped) == ((str(lost),), 3, 3, ())
    assert states(workspace) == {"unlabeled": 3, "labeled": 2, "ignored": 3}
    assert index(workspace, [str(videos)]).gone == (), "said once"
    (videos / "moved").mkdir()
    aside.rename(videos / "moved" / "lost.mp4")
    assert index(workspace, [str(videos)]).gone == ()
    assert states(workspace) == {"unlabeled": 6, "labeled": 2}


def test_a_copy_takes_the_place_of_a_file_that_is_gone(workspace: Workspace, videos: Path) -> None:
    copy = videos / "a copy" / "good.mp4"
    copy.parent.mkdir()
    copy.write_bytes((videos / "good.mp4").read_bytes())
    index(workspace, [str(videos)])
    (first,) = Pool.load(workspace).sources.values()
    Path(first.path).unlink()
    result = index(workspace, [str(videos)])
    assert (result.gone, result.sources, result.unlabeled) == ((), 1, 4)
    (now,) = Pool.load(workspace).sources.values()
    assert now.path != first.path
    assert Path(now.path).exists()
