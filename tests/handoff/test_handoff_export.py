"""The export folder: complete, verifiable, replaced as a whole, and never over somebody's work."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handoff.handover import CLIP, PREDICTIONS, SELECTION, Handover
from PIL import Image

from curate.errors import CurateError, UsageError
from curate.handoff.folder import put, replaced_folder
from curate.handoff.registry import PROFILES, load_profile


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_in_it(handover: Handover) -> None:
    result = handover.export(predictions=PREDICTIONS, detector="midl-1", detector_sha256="a" * 64, min_score=0.25)
    assert (result.images, result.annotations, result.profile) == (3, 3, "coco")
    assert result.folder == handover.workspace.exports / "coco"
    names = ["clip_1-11111111_f00000042.jpg", "photo-33333333.jpg", "clip_1-11111111_f00000007.jpg"]
    files = {"annotations.json", "selection.txt", "manifest.json", "SHA256SUMS", "README.txt"}
    assert set(content(result.folder)) == files | {f"images/{name}" for name in names}
    assert (result.folder / "selection.txt").read_text().splitlines() == names
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["seed"], manifest["detector"]) == ("run-1", 3, "midl-1")
    assert (manifest["detector_sha256"], manifest["min_score"]) == ("a" * 64, 0.25)
    assert manifest["counts"] == {"images": 3, "annotations": 3, "sources": 2}
    assert {"curate", "python", "torch", "pyarrow"} <= set(manifest["versions"])
    assert manifest["with_images"] is True
    assert manifest["sources"]["clip_1-11111111"] == {
        "file_name": "clip 1.mp4",
        "sha256": "1" * 64,
        "kind": "video",
        "time_base": "1/12800",
        "images": 2,
    }
    assert [frame["file_name"] for frame in manifest["frames"]] == names
    assert manifest["frames"][0] == {
        "file_name": names[0],
        "path": f"images/{names[0]}",
        "frame_id": "clip_1-11111111:00000042",
        "source": "clip_1-11111111",
        "frame_index": 42,
        "timestamp_s": 1.68,
    }
    readme = (result.folder / "README.txt").read_text()
    assert all(f"- {name}\n" in readme for name in ("car", "bus", "bicycle"))


def test_images_are_the_selected_ones(handover: Handover) -> None:
    folder = handover.export().folder
    for frame in SELECTION:
        image = handover.image(frame)
        assert (folder / "images" / image.name).read_bytes() == image.read_bytes()


def test_a_symbolic_link_is_exported_as_a_file(handover: Handover, tmp_path: Path) -> None:
    image = handover.image(SELECTION[0])
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    exported = handover.export().folder / "images" / image.name
    assert not exported.is_symlink()
    assert exported.read_bytes() == image.read_bytes()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_images_are_copied_where_they_cannot_be_linked(tmp_path: Path) -> None:
    image = tmp_path / "image.jpg"
    image.write_bytes(b"pixels")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        target = Path(elsewhere) / "images" / "image.jpg"
        put(image, target)
        assert target.read_bytes() == b"pixels"


def test_checksums_verify(handover: Handover) -> None:
    folder = handover.export().folder
    check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    verified = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert len(verified.stdout.splitlines()) == len(content(folder)) - 1
    (folder / "selection.txt").write_text("changed")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


def test_equal_arguments_give_equal_bytes(handover: Handover) -> None:
    first = content(handover.export(predictions=PREDICTIONS, run_id=None).folder)
    again = content(handover.export(predictions=PREDICTIONS, run_id=None, selection=SELECTION[::-1]).folder)
    assert first == again
    assert handover.export(run_id=None, selection=SELECTION[:1]).run_id != json.loads(first["manifest.json"])["run_id"]


def test_a_new_export_replaces_the_old(handover: Handover) -> None:
    handover.export()
    folder = handover.export(selection=SELECTION[1:]).folder
    assert len(list((folder / "images").iterdir())) == 2
    assert [path.name for path in handover.workspace.exports.iterdir()] == ["coco"]


@pytest.mark.parametrize("name", ["returned.json", "images/notes.txt", "annotations.json", "selection.txt"])
def test_work_in_an_old_export_is_not_lost(handover: Handover, name: str) -> None:
    folder = handover.export().folder
    (folder / name).write_text("hours of work")
    with pytest.raises(CurateError, match=f"{name}: .*move it away"):
        handover.export()
    assert (folder / name).read_text() == "hours of work"
    (folder / name).rename(handover.workspace.root / "moved")
    handover.export()


def test_what_a_file_manager_leaves_is_no_work(handover: Handover) -> None:
    (handover.export().folder / ".DS_Store").write_bytes(b"")
    handover.export()


def test_a_folder_that_is_no_export_is_left_alone(handover: Handover) -> None:
    place = handover.workspace.exports / "coco"
    place.parent.mkdir()
    place.write_text("mine")
    with pytest.raises(CurateError, match="not a folder that an export made"):
        handover.export()
    assert place.read_text() == "mine"


def test_a_failed_export_leaves_the_old_one(handover: Handover) -> None:
    place = handover.export().folder
    before = content(place)
    with pytest.raises(FileNotFoundError), replaced_folder(place) as folder:
        put(Path("/nonexistent.jpg"), folder / "images" / "new.jpg")
    assert content(place) == before
    assert [path.name for path in handover.workspace.exports.iterdir()] == ["coco"]


def test_a_kill_between_the_two_renames_is_mended(handover: Handover) -> None:
    place = handover.export().folder
    before = content(place)
    place.rename(place.with_name(".coco.12345678.old"))
    place.with_name(".coco.87654321.tmp").mkdir()
    with pytest.raises(RuntimeError, match="fails again"), replaced_folder(place):
        raise RuntimeError("fails again")
    assert content(place) == before
    assert [path.name for path in handover.workspace.exports.iterdir()] == ["coco"]


def without_image(handover: Handover) -> dict[str, Any]:
    handover.image(SELECTION[0]).unlink()
    return {}


def with_broken_image(handover: Handover) -> dict[str, Any]:
    handover.image(SELECTION[0]).write_bytes(b"not a JPEG")
    return {}


def with_png(handover: Handover) -> dict[str, Any]:
    Image.new("RGB", (8, 8)).save(handover.image(SELECTION[0]), format="PNG")
    return {}


def with_turned_image(handover: Handover) -> dict[str, Any]:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 8)).save(handover.image(SELECTION[0]), exif=exif)
    return {}


def changed(**arguments: Any) -> Callable[[Handover], dict[str, Any]]:
    return lambda handover: arguments


HOSTILE = replace(SELECTION[0], frame_id="../../outside", source=CLIP.source)


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (changed(selection=()), CurateError, "nothing is selected; run `curate score"),
        (changed(selection=(SELECTION[0], SELECTION[0])), CurateError, "photo-33333333 more than once"),
        (changed(selection=(HOSTILE,)), CurateError, "outside is not frame 0"),
        (changed(sources={}), CurateError, "of no source in the index"),
        (changed(categories=()), UsageError, "--classes car,person"),
        (changed(categories=("car", "car")), UsageError, "'car' is given 2 times"),
        (changed(categories=("car", " ")), UsageError, "' ' is not a name"),
        (changed(categories=("a\nb",)), UsageError, "is not a name"),
        (changed(profile="cococo"), UsageError, "receiver profile 'cococo': unknown; choose from .*coco"),
        (changed(predictions=PREDICTIONS, categories=("car",)), CurateError, "found 'bus' .*add it to --classes"),
        (without_image, CurateError, r"photo-33333333.jpg: missing \(1 of 3 images are\); run `curate select` again"),
        (with_broken_image, CurateError, "photo-33333333.jpg: not a readable image"),
        (with_png, CurateError, "photo-33333333.jpg: a PNG"),
        (with_turned_image, CurateError, "turned by its EXIF orientation"),
    ],
)
def test_what_cannot_be_exported(
    handover: Handover, spoil: Callable[[Handover], dict[str, Any]], error: type[CurateError], said: str
) -> None:
    arguments = spoil(handover)
    with pytest.raises(error, match=said) as caught:
        handover.export(**arguments)
    assert type(caught.value) is error
    assert not handover.workspace.exports.exists()


@pytest.mark.parametrize("prediction", [((0, 0, float("nan"), 1), "car", 0.5), ((0, 0, 1, 1), "car", 1.5)])
def test_impossible_predictions_are_a_bug(handover: Handover, prediction: Any) -> None:
    with pytest.raises(ValueError, match="finite"):
        handover.export(predictions={SELECTION[1].frame_id: [prediction]})


@pytest.mark.parametrize("name", PROFILES.names())
def test_every_profile_writes_a_complete_export(handover: Handover, name: str) -> None:
    result = handover.export(profile=name, predictions=PREDICTIONS)
    profile = load_profile(name)
    assert result.folder == handover.workspace.exports / name
    assert result.annotations == 3
    assert len(list((result.folder / profile.IMAGES).glob("*.jpg"))) == 3
    assert profile.HOW_TO_IMPORT.splitlines()[0] in (result.folder / "README.txt").read_text()


def test_names_are_found_without_importing() -> None:
    script = (
        "import sys; from curate.handoff.registry import PROFILES; names = PROFILES.names(); "
        "assert 'coco' in names, names; "
        "loaded = {'curate.handoff.profiles.coco', 'numpy', 'pyarrow', 'PIL'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
