"""Whatever the names in the input, no file is written outside the export's folder."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from handoff.handover import SELECTION, Handover
from PIL import Image

from curate.errors import CurateError, UsageError
from curate.handoff.folder import is_file_name, place_in, write_text
from curate.handoff.registry import PROFILES, load_profile
from curate.types import SelectedFrame, Source, export_stem, frame_id, source_key

CLASSES = (
    "a/b",
    "../../outside",
    "/etc/passwd",
    "C\\temp\\..",
    "<x>&\"'</name>",
    "yes",
    "null",
    "- a, {b}",
    "%s {0} $HOME `id`",
    "名前 é 🚗",
    "x" * 400,
    ".hidden",
    "con",
)
PREDICTIONS = {
    "clip_1-11111111:00000042": [((8.0 * n, 4.0, 8.0 * n + 6, 20.0), name, 0.5) for n, name in enumerate(CLASSES)]
}


def everything(folder: Path) -> dict[Path, bytes | None]:
    """All that is under a folder, except in exports/."""
    found = (path for path in folder.rglob("*") if "exports" not in path.relative_to(folder).parts)
    return {path: path.read_bytes() if path.is_file() else None for path in found}


@pytest.mark.parametrize("name", PROFILES.names())
def test_class_names_stay_inside_and_come_back(handover: Handover, tmp_path: Path, name: str) -> None:
    before = everything(tmp_path)
    result = handover.export(profile=name, categories=CLASSES, predictions=PREDICTIONS, zipped=True)
    assert everything(tmp_path) == before
    assert result.annotations == len(CLASSES)
    files = sorted(path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file())
    plain = handover.export(profile=name, zipped=True).folder
    assert files == sorted(path.relative_to(plain).as_posix() for path in plain.rglob("*") if path.is_file())


def test_class_names_come_back_from_every_format(handover: Handover) -> None:
    def folder(name: str) -> Path:
        return handover.export(profile=name, categories=CLASSES, predictions=PREDICTIONS).folder

    for name, place in (("coco", "annotations.json"), ("cvat", "annotations/instances_default.json")):
        document = json.loads((folder(name) / place).read_text(encoding="utf-8"))
        assert tuple(category["name"] for category in document["categories"]) == CLASSES
    studio = ElementTree.parse(folder("label-studio") / "label_config.xml").getroot()
    assert tuple(label.attrib["value"] for label in studio.iter("Label")) == CLASSES
    data = yaml.safe_load((folder("yolo") / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == dict(enumerate(CLASSES))
    (annotated,) = (folder("voc") / "Annotations").glob("clip*42.xml")
    assert {one.findtext("name") for one in ElementTree.parse(annotated).iter("object")} == set(CLASSES)


@pytest.mark.parametrize("profile", PROFILES.names())
@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a\x1bb", "\u202eabc", "\ud800", " ", ""])
def test_class_names_that_no_one_can_show_are_refused(handover: Handover, profile: str, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name"):
        handover.export(profile=profile, categories=("car", name))
    assert not handover.workspace.exports.exists()


def one_image(handover: Handover, key: str, path: str) -> dict[str, Any]:
    """Arguments of an export of one still whose source has that key."""
    source = Source(key, path, "3" * 64, 1, 1, "image", 64, 48)
    frame = SelectedFrame(1, frame_id(key, "image"), key, 0, 0.0, None, 1.0, "why")
    return {"selection": (frame,), "sources": {key: source}}


@pytest.mark.parametrize("profile", PROFILES.names())
@pytest.mark.parametrize(
    "path",
    [
        "/data/../../etc/passwd.jpg",
        "/data/.. .. .jpg",
        "/data/名前 é.jpg",
        "/data/line\nbreak\r.jpg",
        "/data/<a>&'\".jpg",
        f"/data/{'x' * 250}.jpg",
        "/data/..jpg",
        "/data/con.jpg",
        "/data/a\\..\\b.jpg",
        "/data/-rf *.jpg",
    ],
)
def test_names_of_sources(handover: Handover, tmp_path: Path, profile: str, path: str) -> None:
    key = source_key(Path(path), "3" * 64)
    arguments = one_image(handover, key, path)
    Image.new("RGB", (64, 48)).save(handover.image(arguments["selection"][0]))
    before = everything(tmp_path)
    folder = handover.export(profile=profile, **arguments).folder
    assert everything(tmp_path) == before
    (exported,) = (folder / load_profile(profile).IMAGES).glob("*.jpg")
    assert exported.stem == key
    assert is_file_name(key)
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        assert (folder / line.split("  ", 1)[1]).is_file()


@pytest.mark.parametrize("profile", PROFILES.names())
@pytest.mark.parametrize(
    "key", ["../../evil", "/tmp/evil", "a/b", "..", ".", "a\nb", ".x", "é-33333333", "x" * 300, ""]
)
def test_keys_of_sources_that_were_edited(handover: Handover, tmp_path: Path, profile: str, key: str) -> None:
    arguments = one_image(handover, key, "/data/photo.jpg")
    target = handover.workspace.selection / "images" / f"{export_stem(key)}.jpg"
    if len(key) < 200 and not target.is_absolute() and not key.startswith("/"):
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(target)
    before = everything(tmp_path)
    with pytest.raises(CurateError, match="cannot name a file; run `curate select` again"):
        handover.export(profile=profile, **arguments)
    assert everything(tmp_path) == before
    assert not handover.workspace.exports.exists()


def test_a_frame_id_of_the_selection_that_was_edited(handover: Handover) -> None:
    with pytest.raises(CurateError, match="is not frame 0 of it"):
        handover.export(selection=(replace(SELECTION[0], frame_id="../../outside"),))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", ".", "a/..", "link/x", "to_file"])
def test_nothing_is_written_outside_a_folder(tmp_path: Path, name: str) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "file").write_text("mine")
    (folder / "link").symlink_to(outside)
    (folder / "to_file").symlink_to(outside / "file")
    with pytest.raises(CurateError, match="leads out of the export's folder"):
        write_text(folder, name, "hostile")
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "outside"]


def test_a_link_within_the_folder_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "inner")
    assert place_in(tmp_path, "link/x.txt") == (tmp_path / "inner" / "x.txt").resolve()


@pytest.mark.parametrize("what", ["images", "images/more", ""])
def test_symbolic_links_in_an_old_export_are_not_followed(handover: Handover, tmp_path: Path, what: str) -> None:
    folder = handover.export().folder
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.jpg").write_bytes(b"precious")
    link = folder / what if what else folder
    if link.exists():
        link.rename(tmp_path / "aside")
    link.symlink_to(outside)
    with pytest.raises(CurateError, match="move it away"):
        handover.export()
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"precious.jpg": b"precious"}


def test_reasons_with_commas_and_quotes_keep_their_columns(handover: Handover) -> None:
    reason = 'a "quoted", and\nbroken reason'
    folder = handover.export(selection=(replace(SELECTION[0], reason=reason),)).folder
    document = json.loads((folder / "annotations.json").read_text())
    assert document["images"][0]["reason"] == reason
    assert list(csv.reader((folder / "selection.txt").open())) == [["photo-33333333.jpg"]]
