"""`curate verify` on exports of real videos: it agrees with what is right, and names what is not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from commands import curate, one_line
from example import Example
from PIL import Image
from videos import write_numbered_video

from curate.handoff.export import export
from curate.media.recheck import recheck
from curate.media.recheck_one import RecheckOne
from curate.media.redecode import ExportedFrame
from curate.media.reread import write_full_size
from curate.pipeline.index import index
from curate.pipeline.verify import verify
from curate.pool import Pool
from curate.types import Sampling, SelectedFrame, export_stem
from curate.workspace import Workspace

FRAMES = 40


def write_slow_video(path: Path) -> Path:
    """A still scene in which a small square moves by half a pixel a frame: neighbours differ by 0.05 levels."""
    rng = np.random.default_rng(0)
    scene = np.asarray(Image.fromarray(rng.integers(40, 200, (12, 16, 3), np.uint8)).resize((320, 240)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(FRAMES):
            picture = scene.copy()
            picture[100:116, 100 + number // 2 : 116 + number // 2] = 250
            picture[20:28, 20 + number : 28 + number] = 10
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources and an exported workspace: three frames of each video, and two images."""
    folder = tmp_path_factory.mktemp("verify")
    sources = folder / "sources"
    sources.mkdir()
    write_slow_video(sources / "slow.mp4")
    write_numbered_video(sources / "turned.mp4", frames=FRAMES, rotation=90, options={"bf": "3"})
    write_numbered_video(sources / "old.avi", frames=FRAMES, codec="mpeg4")
    write_numbered_video(sources / "narrow.mp4", frames=FRAMES, size=(96, 64))
    noise = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(sources / "noise.png")
    Image.fromarray(noise).save(sources / "copied.jpg", quality=70)
    workspace = Workspace.create(folder / "w", imgsz=240)
    forced = write_numbered_video(sources / "forced.mp4", frames=FRAMES)
    index(workspace, [str(forced)], sampling=Sampling(stride=9), backend="pyav")
    index(workspace, [str(sources)], sampling=Sampling(stride=9))
    export_every_source(workspace)
    return folder


def export_every_source(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    picked = [row for row in pool.frames.to_pylist() if row["frame_index"] in (0, 18, 36)]
    selection = []
    for rank, row in enumerate(picked, start=1):
        place = {name: row[name] for name in ("frame_id", "source", "frame_index", "timestamp_s")}
        selection.append(SelectedFrame(rank=rank, **place, uncertainty=None, utility=0.0, reason="test"))
        image = workspace.selection / "images" / f"{export_stem(row['frame_id'])}.jpg"
        write_full_size(pool.sources[row["source"]], {row["frame_index"]: image})
    export(workspace=workspace, selection=selection, sources=pool.sources, categories=("thing",), seed=0)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage; the workspace still names the originals by their first place."""
    shutil.copytree(made, tmp_path / "copy")
    workspace = Workspace.open(tmp_path / "copy" / "w")
    pool = Pool.load(workspace)
    for key, source in pool.sources.items():
        pool.sources[key] = replace(source, path=str(tmp_path / "copy" / "sources" / Path(source.path).name))
    pool.save(workspace)
    return tmp_path / "copy"


def exported(folder: Path, name: str) -> Path:
    """The exported picture whose file name begins and ends so, as in "slow 18"."""
    stem, _, number = name.partition(" ")
    pattern = f"{stem}-*_f{int(number):08d}.jpg" if number else f"{stem}-*.jpg"
    (found,) = (folder / "w" / "exports" / "coco" / "images").glob(pattern)
    return found


def verdicts(*arguments: object, code: int = 0) -> dict[str, dict[str, Any]]:
    """What `curate verify --json` says, by "slow 18"."""
    rows = [json.loads(line) for line in curate("verify", "--json", *arguments, code=code).stdout.splitlines()]
    return {f"{Path(row['path']).stem} {row['frame_index']}": row for row in rows}


def wrong(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: row["reason"] for name, row in rows.items() if row["verdict"] not in ("agrees", "unconfirmed")}


def test_a_good_export_agrees(made: Path) -> None:
    rows = verdicts("-w", made / "w")
    assert len(rows) == 17
    assert wrong(rows) == {}
    decoders = {name.partition(" ")[0]: (row["verdict"], row["decoder"]) for name, row in rows.items()}
    assert decoders == {
        "slow": ("agrees", "decord"),
        "turned": ("agrees", "decord"),
        "forced": ("agrees", "decord"),
        "old": ("unconfirmed", "pyav"),
        "narrow": ("unconfirmed", "pyav"),
        "noise": ("agrees", "pillow"),
        "copied": ("agrees", "pillow"),
    }
    assert rows["slow 18"]["difference"] < 0.1
    assert (rows["slow 18"]["timestamp_s"], rows["slow 18"]["time_base"]) == (0.72, "1/12800")
    assert rows["noise 0"]["time_base"] == ""
    printed = curate("verify", "-w", made / "w").stdout
    assert "Verified 17 of 17 frames" in printed
    assert "11 agree with their originals (9 by decord, 2 by pillow)" in printed
    assert "6 agree, but could not be compared with a second decoder" in printed
    assert "decord garbles pictures under 190 px" in printed
    assert "0 differ" in printed


def test_a_neighbour_of_a_slow_video_and_a_far_frame_are_named(folder: Path) -> None:
    sources = Pool.load(Workspace.open(folder / "w")).sources
    by_name = {Path(source.path).stem: source for source in sources.values()}
    for name, shows in {"slow 18": 19, "slow 36": 35, "turned 0": 30, "old 18": 17, "narrow 36": 37}.items():
        picture = exported(folder, name)
        picture.unlink()
        write_full_size(by_name[name.partition(" ")[0]], {shows: picture})
    rows = verdicts("-w", folder / "w", code=3)
    assert wrong(rows) == {
        "slow 18": "shows frame 19",
        "slow 36": "shows frame 35",
        "turned 0": "shows frame 30",
        "old 18": "shows frame 17",
        "narrow 36": "shows frame 37",
    }
    assert [rows[name]["shows_frame"] for name in ("slow 18", "turned 0", "slow 0")] == [19, 30, 0]
    done = curate("verify", "-w", folder / "w", code=3)
    line = next(line for line in done.stdout.splitlines() if line.endswith("slow.mp4"))
    assert line == f"{by_name['slow'].source}:00000018: shows frame 19; original {folder}/sources/slow.mp4"
    assert "5 of 17 frames differ or cannot be read" in done.stderr


def test_damaged_pictures_are_named(folder: Path) -> None:
    torn, gone, other, grey, image = (
        exported(folder, name) for name in ("slow 0", "slow 18", "turned 18", "old 36", "noise")
    )
    whole = torn.read_bytes()
    torn.unlink()
    torn.write_bytes(whole[: len(whole) // 2])
    gone.unlink()
    for path, size in ((other, (100, 100)), (grey, (288, 192)), (image, (120, 90))):
        path.unlink()
        Image.new("RGB", size, "gray").save(path)
    found = wrong(verdicts("-w", folder / "w", code=3))
    assert set(found) == {"slow 0", "slow 18", "turned 18", "old 36", "noise 0"}
    assert found["slow 0"].startswith("the exported picture cannot be read (")
    assert found["slow 18"] == "the exported picture is missing"
    assert found["turned 18"] == "is 100x100, the original 288x192"
    assert found["old 36"].startswith("shows none of frames 0 to 39; ")
    assert found["noise 0"].startswith("differs from the original by ")


def test_originals_that_are_gone_or_changed_are_named(folder: Path) -> None:
    (folder / "sources" / "slow.mp4").unlink()
    with (folder / "sources" / "old.avi").open("ab") as file:
        file.write(b"\0")
    found = wrong(verdicts("-w", folder / "w", code=3))
    assert set(found) == {f"{stem} {number}" for stem in ("slow", "old") for number in (0, 18, 36)}
    assert found["slow 0"] == "the original cannot be read (No such file or directory)"
    assert found["old 0"].startswith("the original has changed: its sha256 is ")


def test_a_copy_elsewhere_takes_the_place_of_an_original(folder: Path) -> None:
    workspace = Workspace.open(folder / "w")
    (folder / "copies").mkdir()
    shutil.copy(folder / "sources" / "slow.mp4", folder / "copies" / "slow.mp4")
    index(workspace, [str(folder / "copies")], sampling=Sampling(stride=9))
    (folder / "sources" / "slow.mp4").unlink()
    rows = verdicts("-w", folder / "w")
    assert rows["slow 0"]["path"] == str(folder / "copies" / "slow.mp4")


def test_a_time_stamp_that_is_not_the_frames_is_named(folder: Path) -> None:
    path = folder / "w" / "exports" / "coco" / "manifest.json"
    manifest = json.loads(path.read_text())
    for frame in manifest["frames"]:
        if frame["source"].startswith("slow") and frame["frame_index"] == 18:
            frame["timestamp_s"] += 0.04
    path.write_text(json.dumps(manifest))
    found = wrong(verdicts("-w", folder / "w", code=3))
    assert found == {"slow 18": "frame 18 is at 0.7200 s, not at 0.7600 s"}


def test_a_sample_is_drawn_by_its_seed(made: Path) -> None:
    workspace = Workspace.open(made / "w")
    drawn = [[frame.exported.frame_id for frame in verify(workspace, sample=4, seed=seed).frames] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(ids) for ids in drawn] == [4, 4, 4]
    assert len(verify(workspace, made / "w" / "exports" / "coco", sample=None).frames) == 17


def test_the_selection_of_the_main_job_agrees(example: Example, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    curate("export", "--classes", "zero", "-w", workspace)
    assert "Verified 5 of 10 frames" in curate("verify", "--sample", 5, "-w", workspace).stdout


def test_bad_arguments_are_one_clear_line(folder: Path, tmp_path: Path) -> None:
    space = ("-w", folder / "w")
    assert "no workspace there" in one_line(curate("verify", "-w", tmp_path / "none", code=1))
    assert "not an export, it has no manifest.json" in one_line(curate("verify", tmp_path, *space, code=1))
    assert "--all and --sample 5: give one" in one_line(curate("verify", "--all", "--sample", 5, *space, code=2))
    assert "--sample" in curate("verify", "--sample", 0, *space, code=2).stderr
    manifest = folder / "w" / "exports" / "coco" / "manifest.json"
    for damage in ("{", "[]", '{"profile": "coco"}', '{"profile": "coco", "frames": [], "sources": {}}'):
        manifest.write_text(damage)
        assert "run `curate export` again" in one_line(curate("verify", *space, code=1))
    manifest.unlink()
    assert "nothing was exported yet" in one_line(curate("verify", *space, code=1))


def test_a_source_that_hangs_costs_its_own_frames(made: Path) -> None:
    source = next(s for s in Pool.load(Workspace.open(made / "w")).sources.values() if s.path.endswith("slow.mp4"))
    frame = ExportedFrame(18, 0.72, exported(made, "slow 18"))
    # Loading the decoder alone takes longer than this: the child counts as hung, with the second decoder and without.
    ((_, (checked,)),) = recheck([RecheckOne(source, source.sha256, (frame,))], stall_timeout_s=0.001)
    assert (checked.frame_index, checked.verdict) == (18, "unreadable")
    assert checked.reason == "the decoder made no progress for 0.001 s"
