"""Folders of COCO, CocoVID, Pascal VOC, ImageNet VID and SBD as labels of a pool's pictures."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import curate, one_line
from faster_coco_eval.core import mask as coco
from PIL import Image
from scipy.io import savemat

from curate.errors import CurateError, UsageError
from curate.labels.dataset import DATASETS, DatasetLabels, Pictures, find_datasets, read_dataset
from curate.labels.problems import LabelError
from curate.labels.types import LabeledFrame
from curate.media.discover import discover
from curate.pipeline.index import index
from curate.pipeline.label import label
from curate.pool import Pool
from curate.types import Source
from curate.workspace import Workspace

WIDTH, HEIGHT = 20, 10
DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"


def source(path: Path, kind: Any = "image") -> Source:
    key = f"{path.parent.name}_{path.stem}-{abs(hash(str(path))) % 16**8:08x}"
    return Source(key, str(path), "0" * 64, 1, 1, kind, WIDTH, HEIGHT, frames=50 if kind == "video" else 0)


def pictures(folder: Path, *names: str) -> list[Source]:
    """Pictures on disk, as sources of a pool."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / name, "JPEG")
    return [source(folder / name) for name in names]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def an_object(name: str, *corners: object, more: str = "") -> str:
    sides = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def xml(*objects: str) -> str:
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>wrong.jpg</filename>{size}{''.join(objects)}</annotation>"


def indices(path: Path, *places: tuple[slice, slice, int]) -> None:
    """A PNG of palette indices, as VOC has its masks."""
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    for rows, columns, value in places:
        numbers[rows, columns] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(numbers, "P")
    picture.putpalette([value for n in range(256) for value in (n, 255 - n, 0)])
    picture.save(path)


def drawn(segmentation: str) -> set[tuple[int, int]]:
    """The pixels (row, column) of run lengths."""
    value = json.loads(segmentation)
    rows, columns = np.nonzero(coco.decode(value))
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def block(rows: Iterable[int], columns: Iterable[int]) -> set[tuple[int, int]]:
    columns = list(columns)
    return {(row, column) for row in rows for column in columns}


def by_stem(found: DatasetLabels, sources: Iterable[Source]) -> dict[str, LabeledFrame]:
    stems = {one.source: Path(one.path).stem for one in sources}
    return {stems[frame.source]: frame for frame in found.labels.frames}


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2007"
    sources = pictures(root / "JPEGImages", "000001.jpg", "000002.jpg", "000003.jpg")
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    whole = an_object("dog", 1, 1, WIDTH, HEIGHT, more="<difficult>0</difficult>")
    hard = an_object("person", 5.5, 3, 5.5, 4, more=f"<difficult>1</difficult>{part}")
    write(root / "Annotations" / "000001.xml", xml(whole, hard))
    write(root / "Annotations" / "000002.xml", xml())
    write(root / "Annotations" / "000009.xml", xml(an_object("cat", 1, 1, 2, 2)))
    found = read_dataset(tmp_path, sources)
    assert (found.format, found.roots, found.not_in_pool) == ("voc", (root,), 1)
    assert found.labels.categories == ("cat", "dog", "person"), "whatever part of it is in the pool"
    frames = by_stem(found, sources)
    assert set(frames) == {"000001", "000002"}, "000003 has no labels, which is not the same as no objects"
    assert frames["000001"].boxes_xyxy == ((0, 0, WIDTH, HEIGHT), (4.5, 2, 5.5, 4))
    assert frames["000001"].categories == ("dog", "person")
    assert frames["000001"].iscrowd == (False, True), "difficult objects are neither trained on nor counted"
    assert frames["000001"].label_file == str(root / "Annotations" / "000001.xml")
    assert frames["000002"].boxes_xyxy == ()


def test_voc_masks_go_to_the_objects_that_they_fit(tmp_path: Path) -> None:
    root = tmp_path / "VOC2012"
    sources = pictures(root / "JPEGImages", "a.jpg")
    # Two dogs (class 12), a person (15) without an XML object, and a car in the XML alone; the XML has its own order.
    write(
        root / "Annotations" / "a.xml",
        xml(an_object("dog", 11, 1, 14, 4), an_object("dog", 1, 1, 5, 5), an_object("car", 1, 7, 3, 9)),
    )
    first, second, third = (slice(0, 5), slice(0, 5)), (slice(0, 4), slice(10, 14)), (slice(6, 10), slice(16, 20))
    edge = (slice(0, 5), slice(4, 5), 255)
    indices(root / "SegmentationObject" / "a.png", (*first, 1), (*second, 2), (*third, 3), edge)
    indices(root / "SegmentationClass" / "a.png", (*first, 12), (*second, 12), (*third, 15), edge)
    (frame,) = read_dataset(root, sources).labels.frames
    assert frame.categories == ("dog", "dog", "car", "person")
    assert frame.boxes_xyxy == ((10, 0, 14, 4), (0, 0, 5, 5), (0, 6, 3, 9), (16, 6, 20, 10))
    assert [bool(text) for text in frame.segmentations] == [True, True, False, True]
    assert drawn(frame.segmentations[0]) == block(range(4), range(10, 14))
    assert drawn(frame.segmentations[1]) == block(range(5), range(4)), "without the void edge"
    assert drawn(frame.segmentations[3]) == block(range(6, 10), range(16, 20))


def test_voc_masks_alone_are_labels(tmp_path: Path) -> None:
    sources = pictures(tmp_path / "JPEGImages", "a.jpg")
    indices(tmp_path / "SegmentationObject" / "a.png", (slice(2, 6), slice(3, 9), 1))
    indices(tmp_path / "SegmentationClass" / "a.png", (slice(2, 6), slice(3, 9), 1))
    (frame,) = read_dataset(tmp_path, sources).labels.frames
    assert (frame.categories, frame.boxes_xyxy) == (("aeroplane",), ((3, 2, 9, 6),))
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)


def test_the_masks_of_voc_are_no_pictures_to_label(tmp_path: Path) -> None:
    pictures(tmp_path / "VOC2012" / "JPEGImages", "a.jpg")
    indices(tmp_path / "VOC2012" / "SegmentationObject" / "a.png")
    indices(tmp_path / "VOC2012" / "SegmentationClass" / "a.png")
    assert [path.name for path in discover([str(tmp_path)]).files] == ["a.jpg"]


def test_imagenet_vid_tells_snippets_apart(tmp_path: Path) -> None:
    root = tmp_path / "ILSVRC2015"
    names = [f"train/ILSVRC2015_VID_train_0000/snippet_{s}/00000{n}.JPEG" for s in "ab" for n in range(2)]
    names.append("val/snippet_c/000000.JPEG")
    sources = pictures(root / "Data" / "VID", *names)
    for n, name in enumerate(names):
        track = f"<trackid>{n}</trackid>"
        text = xml(an_object("n02691156", n, 0, 19, 9, more=track))
        write((root / "Annotations" / "VID" / name).with_suffix(".xml"), text)
    found = read_dataset(tmp_path, sources)
    assert (found.format, found.labels.categories, found.not_in_pool) == ("imagenet-vid", ("airplane",), 0)
    boxes = {frame.source: frame.boxes_xyxy[0] for frame in found.labels.frames}
    assert [boxes[one.source] for one in sources] == [(n, 0, 20, 10) for n in range(5)]

    # Copies elsewhere, of one snippet alone: those of other snippets have the same names and are none of them.
    moved = pictures(tmp_path / "moved", "snippet_b/000000.JPEG", "snippet_b/000001.JPEG")
    found = read_dataset(root, moved)
    assert found.not_in_pool == 3
    boxes = {frame.source: frame.boxes_xyxy[0] for frame in found.labels.frames}
    assert [boxes[one.source] for one in moved] == [(2, 0, 20, 10), (3, 0, 20, 10)]


def sbd(path: Path, numbers: np.ndarray, classes: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = {"Segmentation": numbers, "Categories": np.array(classes, np.uint8).reshape(-1, 1), "Boundaries": []}
    savemat(path, {"GTinst": truth}, do_compression=True)


def test_sbd(tmp_path: Path) -> None:
    root = tmp_path / "benchmark_RELEASE" / "dataset"
    sources = pictures(root / "img", "2008_000002.jpg", "2008_000003.jpg")
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[1:4, 2:8], numbers[5:7, 0:3] = 1, 2
    sbd(root / "inst" / "2008_000002.mat", numbers, [20, 7])
    sbd(root / "inst" / "2008_000003.mat", np.zeros_like(numbers), [])
    found = read_dataset(tmp_path, sources)
    assert (found.format, found.labels.categories) == ("sbd", ("car", "tvmonitor"))
    frames = by_stem(found, sources)
    assert frames["2008_000002"].categories == ("tvmonitor", "car")
    assert frames["2008_000002"].boxes_xyxy == ((2, 1, 8, 4), (0, 5, 3, 7))
    assert drawn(frames["2008_000002"].segmentations[0]) == block(range(1, 4), range(2, 8))
    assert frames["2008_000003"].boxes_xyxy == ()


def annotations(*names: str, **more: Any) -> str:
    images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names, start=1)]
    objects = [
        {"id": n, "image_id": n, "category_id": 4, "bbox": [n, 2, 3, 4], "area": 12, "iscrowd": 0}
        for n in range(1, len(names) + 1)
    ]
    document = {"images": images, "annotations": objects, "categories": [{"id": 4, "name": "cup"}]}
    return json.dumps(document | more)


def test_coco_takes_the_pictures_of_the_pool(tmp_path: Path) -> None:
    sources = pictures(tmp_path / "train2017", "000000000009.jpg") + pictures(tmp_path / "val2017", "000000000139.jpg")
    write(tmp_path / "annotations" / "instances_train2017.json", annotations("000000000009.jpg", "000000000025.jpg"))
    write(tmp_path / "annotations" / "instances_val2017.json", annotations("000000000139.jpg"))
    write(tmp_path / "annotations" / "person_keypoints_train2017.json", annotations("000000000009.jpg"))
    write(tmp_path / "annotations" / "captions_train2017.json", '{"images": [], "annotations": []}')
    found = read_dataset(tmp_path, sources)
    assert (found.format, found.not_in_pool, found.labels.categories) == ("coco", 1, ("cup",))
    assert {frame.boxes_xyxy for frame in found.labels.frames} == {((1, 2, 4, 6),)}
    assert len(found.labels.frames) == 2


def test_coco_in_a_folder_a_split(tmp_path: Path) -> None:
    sources = pictures(tmp_path, "train/a.jpg", "valid/b.jpg")
    write(tmp_path / "train" / "_annotations.coco.json", annotations("a.jpg"))
    write(tmp_path / "valid" / "_annotations.coco.json", annotations("b.jpg"))
    assert len(read_dataset(tmp_path, sources).labels.frames) == 2


def test_cocovid_of_pictures_and_of_videos(tmp_path: Path) -> None:
    videos = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}]
    document = json.loads(annotations("one/0.jpg", "one/1.jpg", "two/0.jpg", "three/0.jpg", videos=videos))
    for image, (video, number) in zip(document["images"], ((1, 0), (1, 1), (2, 0), (3, 7)), strict=True):
        image.update(video_id=video, frame_index=number)
    write(tmp_path / "labels.json", json.dumps(document))
    write(tmp_path / "notes.json", "{}")
    sources = [*pictures(tmp_path / "frames", "one/0.jpg", "one/1.jpg"), source(tmp_path / "three.mp4", "video")]
    found = read_dataset(tmp_path, sources)
    assert found.not_in_pool == 1
    of_video = [frame for frame in found.labels.frames if frame.source == sources[2].source]
    assert [(frame.frame_index, frame.boxes_xyxy[0][0]) for frame in of_video] == [(7, 4)]
    assert len(found.labels.frames) == 3


def test_several_sources_that_fit(tmp_path: Path) -> None:
    root = tmp_path / "VOC2007"
    (inside,) = pictures(root / "JPEGImages", "1.jpg")
    copies = pictures(tmp_path, "x/1.jpg", "y/1.jpg")
    write(root / "Annotations" / "1.xml", xml())
    assert read_dataset(root, [inside, *copies]).labels.frames[0].source == inside.source
    with pytest.raises(LabelError, match=r'"1\.jpg": 2 sources fit') as caught:
        read_dataset(root, copies)
    assert [problem.kind for problem in caught.value.problems] == ["ambiguous-image"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<annotation><object>", "bad-xml"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "xml-doctype"),
        ("<html/>", "not-voc"),
        ("<a>" * 100_000, "bad-xml"),
        (xml(an_object("", 1, 1, 2, 2)), "bad-category-name"),
        (xml(an_object("dog", 1, 1, "nan", 2)), "bad-bbox"),
        (xml(an_object("dog", 5, 1, 3, 2)), "bad-bbox"),
        (xml(an_object("dog", 50, 1, 60, 2)), "bbox-outside"),
        (xml().replace("<width>20", "<width>40"), "wrong-image-size"),
        (xml().replace("<width>20", "<width>-1"), "bad-image-size"),
    ],
)
def test_broken_voc(tmp_path: Path, text: str, kind: str) -> None:
    sources = pictures(tmp_path / "JPEGImages", "a.jpg")
    write(tmp_path / "Annotations" / "a.xml", text)
    with pytest.raises(LabelError) as caught:
        read_dataset(tmp_path, sources)
    assert [problem.kind for problem in caught.value.problems] == [kind]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_broken_masks(tmp_path: Path, data: bytes) -> None:
    sources = pictures(tmp_path / "JPEGImages", "a.jpg")
    indices(tmp_path / "SegmentationClass" / "a.png")
    write(tmp_path / "Annotations" / "a.xml", xml())
    (tmp_path / "SegmentationObject").mkdir()
    (tmp_path / "SegmentationObject" / "a.png").write_bytes(data)
    with pytest.raises(LabelError) as caught:
        read_dataset(tmp_path, sources)
    assert [problem.kind for problem in caught.value.problems] == ["bad-mask"]


@pytest.mark.parametrize("length", [0, 60, 128, 150, 200])
def test_broken_sbd(tmp_path: Path, length: int) -> None:
    sources = pictures(tmp_path / "img", "a.jpg")
    path = tmp_path / "inst" / "a.mat"
    sbd(path, np.ones((HEIGHT, WIDTH), np.uint8), [3])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(LabelError) as caught:
        read_dataset(tmp_path, sources)
    assert [problem.kind for problem in caught.value.problems] == ["bad-mask"]


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    sources = pictures(tmp_path / "VOC" / "JPEGImages", "a.jpg")
    with pytest.raises(UsageError, match=r"no data set in this folder; known are coco: .*; voc: Pascal VOC"):
        find_datasets(tmp_path / "VOC" / "JPEGImages", None)
    with pytest.raises(UsageError, match="data set format 'yolo': unknown; choose from coco, imagenet-vid, sbd, voc"):
        find_datasets(tmp_path, "yolo")
    write(tmp_path / "VOC" / "Annotations" / "b.xml", xml())
    with pytest.raises(CurateError, match=r"labels for 1 pictures \(voc\), but none of them is in the pool"):
        read_dataset(tmp_path, sources)
    write(tmp_path / "labels.json", annotations("a.jpg"))
    with pytest.raises(UsageError, match=r"coco fits .*; voc fits .*; name one with --labels-format"):
        read_dataset(tmp_path, sources)
    assert read_dataset(tmp_path, sources, format="coco").format == "coco"


def test_names_of_pictures_do_not_lead_astray(tmp_path: Path) -> None:
    (inside,) = pictures(tmp_path / "a", "b/1.jpg")
    found = Pictures([inside])
    assert found.find("b/1.jpg", tmp_path / "a", None) == [inside]
    assert found.find("b\\1.jpg", tmp_path / "elsewhere", None) == [inside]
    assert found.find("x/1.jpg", tmp_path / "a", 2) == []
    for name in ("", None, 7, "../1.jpg", "/etc/passwd", "\0"):
        assert found.find(name, tmp_path / "a", None) == []


def test_the_documentation_has_every_format() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in DATASETS.names())


def test_the_command_line(tmp_path: Path) -> None:
    root = tmp_path / "VOC2007"
    pictures(root / "JPEGImages", "1.jpg")
    write(root / "Annotations" / "1.xml", xml(an_object("dog", 1, 1, 9, 9)))
    write(root / "Annotations" / "2.xml", xml(an_object("cat", 1, 1, 9, 9)))
    workspace = Workspace.create(tmp_path / "w", imgsz=32)
    index(workspace, [str(root)])
    result = label(workspace, root)
    assert (result.frames, result.boxes, result.categories) == (1, 1, ("cat", "dog"))
    assert Pool.load(workspace).count("labeled") == 1

    bad = ("train", "-w", workspace.root)
    (tmp_path / "empty" / "JPEGImages").mkdir(parents=True)
    write(tmp_path / "empty" / "Annotations" / "9.xml", xml())
    assert "none of them is in the pool" in one_line(curate(*bad, "--labels", tmp_path / "empty", code=1))
    assert "choose from coco, imagenet-vid" in one_line(
        curate(*bad, "--labels", root, "--labels-format", "pascal", code=2)
    )
    assert "give --labels as well" in one_line(curate(*bad, "--labels-format", "voc", code=2))
    file = root / "Annotations" / "1.xml"
    assert "is for folders" in one_line(curate(*bad, "--labels", file, "--labels-format", "voc", code=2))
