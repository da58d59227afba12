"""The corpus of broken returns: how each is made, and the id of the first problem that it must be refused with."""

import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labels.returns import COCO, STEMS, VOC, YOLO, coco, picture, voc, write_coco, write_folder, write_zip

NAN, INFINITE = float("nan"), float("inf")
TEXT = json.dumps(COCO)


@dataclass(frozen=True)
class Broken:
    """`make` writes the return into an empty folder and gives its path."""

    name: str
    kind: str
    make: Callable[[Path], Path]


def spoilt(name: str, kind: str, spoil: Callable[[dict[str, Any]], Any]) -> Broken:
    """A COCO file with something changed in the document."""

    def make(folder: Path) -> Path:
        document = coco()
        spoil(document)
        return write_coco(folder / "labels.json", document)

    return Broken(f"coco: {name}", kind, make)


def raw(name: str, kind: str, content: bytes, file: str = "labels.json") -> Broken:
    def make(folder: Path) -> Path:
        (folder / file).write_bytes(content)
        return folder / file

    return Broken(f"file: {name}", kind, make)


def image(position: int, **keys: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["images"][position].update(keys)


def annotation(**keys: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["annotations"][0].update(keys)


def category(**keys: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["categories"][0].update(keys)


def named(file_name: Any) -> Callable[[dict[str, Any]], Any]:
    return image(1, file_name=file_name)


def yolo(name: str, kind: str, line: str = "", **files: str | bytes | None) -> Broken:
    """A YOLO folder with another line for the first frame, or with files changed, added, or (None) left out."""
    changed: dict[str, Any] = {**YOLO, **{key.replace("__", "."): value for key, value in files.items()}}
    if line:
        changed[f"labels/train/{STEMS[0]}.txt"] = line
    there = {key: value for key, value in changed.items() if value is not None}
    return Broken(f"yolo: {name}", kind, lambda folder: write_folder(folder / "return", there))


def xml(name: str, kind: str, content: str | bytes) -> Broken:
    """A VOC folder with another file for the first frame."""
    files = {**VOC, f"{STEMS[0]}.xml": content}
    return Broken(f"voc: {name}", kind, lambda folder: write_folder(folder / "return", files))


def zipped(name: str, kind: str, make: Callable[[Path], Any]) -> Broken:
    def write(folder: Path) -> Path:
        make(folder / "return.zip")
        return folder / "return.zip"

    return Broken(f"zip: {name}", kind, write)


def blanks(folder: Path) -> Path:
    """A document with 500 MB of white space in the middle."""
    path = folder / "labels.json"
    with path.open("wb") as file:
        file.write(TEXT[:-1].encode())
        for _ in range(500):
            file.write(b" " * 1_000_000)
        file.write(b"}")
    return path


def hole(folder: Path) -> Path:
    """A file of 3 GB that takes no room on the disk: zero bytes, as an interrupted download leaves them."""
    path = folder / "labels.json"
    path.write_text(TEXT)
    os.truncate(path, 3_000_000_000)
    return path


def link_out(folder: Path) -> Path:
    secret = write_coco(folder / "secret.json", COCO)
    (folder / "return").mkdir()
    (folder / "return" / "labels.json").symlink_to(secret)
    return folder / "return"


def folder_link_out(folder: Path) -> Path:
    place = write_folder(folder / "return", YOLO)
    (folder / "elsewhere").mkdir()
    (place / "images").symlink_to(folder / "elsewhere")
    return place


def link_in_zip(path: Path) -> None:
    info = zipfile.ZipInfo("labels.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")


def twice_in_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.json", TEXT)
        archive.writestr("sub/labels.json", TEXT)
        archive.writestr("sub\\labels.json", TEXT)


def locked_zip(path: Path) -> None:
    write_zip(path, {"labels.json": TEXT})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)


def cut_zip(path: Path) -> None:
    write_zip(path, {"labels.json": TEXT})
    path.write_bytes(path.read_bytes()[:-40])


def damaged_zip(path: Path) -> None:
    """Bytes in the middle of the compressed data are changed."""
    write_zip(path, {"labels.json": TEXT})
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)


def lying_zip(path: Path) -> None:
    """A bomb that calls itself small: the stated size is a lie, in both places where it stands."""
    write_zip(path, {"labels.json": b"[" + b"1," * 20_000_000 + b"1]"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 100)
    path.write_bytes(data)


ENTITIES = (
    '<!DOCTYPE a [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><annotation><filename>&a9;</filename></annotation>"
)
OUTSIDE_FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'
LAUGHS = (
    "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]\n" for n in range(1, 9)) + "names: [*a8, *a8]\n"
)


def corpus() -> Iterator[Broken]:
    yield raw("empty", "not-json", b"")
    yield raw("cut off", "not-json", TEXT[: len(TEXT) // 2].encode())
    yield raw("two documents", "not-json", (TEXT + TEXT).encode())
    yield raw("single quotes", "not-json", TEXT.replace('"', "'").encode())
    yield raw("UTF-16", "not-utf8", TEXT.encode("utf-16"))
    yield raw("Latin-1", "not-utf8", TEXT.replace("car", "Kälte").encode("latin-1"))
    yield raw("bytes of no encoding", "not-utf8", b'{"images": "\xff\xfe\xfa"}')
    yield raw("deep lists", "not-json", b"[" * 300_000)
    yield raw("deep objects", "not-json", b'{"images":' * 300_000)
    yield raw("a list", "not-coco", b"[]")
    yield raw("a number", "not-coco", b"3")
    yield raw("a picture", "no-labels", picture(20, 10), "labels.jpg")
    yield raw("a text", "no-labels", b"0 0.5 0.5 0.1 0.1", f"{STEMS[0]}.txt")
    yield Broken("file: 500 MB of white space", "blank", blanks)
    yield Broken("file: 3 GB of zero bytes", "blank", hole)

    for key in ("images", "annotations", "categories"):
        yield spoilt(f"no {key}", "not-coco", lambda d, key=key: d.pop(key))
    yield spoilt("images as an object", "not-coco", lambda d: d.update(images={"1": {}}))
    yield spoilt("annotations null", "not-coco", lambda d: d.update(annotations=None))
    yield spoilt("videos as a number", "not-coco", lambda d: d.update(videos=3))
    yield spoilt("an image that is a string", "bad-entry", lambda d: d["images"].append("a.jpg"))
    yield spoilt("a list as annotation", "bad-entry", lambda d: d["annotations"].append([1, 2]))
    yield spoilt("string image id", "bad-id", image(0, id="1"))
    yield spoilt("fractional image id", "bad-id", image(0, id=1.5))
    yield spoilt("huge annotation id", "bad-id", annotation(id=10**30))
    yield spoilt("no annotation id", "bad-id", lambda d: d["annotations"][0].pop("id"))
    yield spoilt("string category id", "bad-id", category(id="car"))
    yield spoilt("repeated image id", "duplicate-image-id", image(1, id=1))
    yield spoilt("repeated annotation id", "duplicate-annotation-id", annotation(id=2))
    yield spoilt("repeated category id", "duplicate-category-id", category(id=2))
    yield spoilt("repeated video id", "duplicate-video-id", lambda d: d.update(videos=[{"id": 1}, {"id": 1}]))
    yield spoilt("category without name", "bad-category-name", lambda d: d["categories"][0].pop("name"))
    yield spoilt("category with half a character", "bad-category-name", category(name="\ud800"))
    yield spoilt("category named twice", "duplicate-category-name", category(name="bus"))
    yield spoilt("class in other case", "unknown-class", category(name="Car"))
    yield spoilt("class with a space", "unknown-class", category(name=" car"))
    yield spoilt("non-ASCII class", "unknown-class", category(name="车"))
    yield spoilt("unknown category id", "unknown-category-id", annotation(category_id=99))
    yield spoilt("category id as text", "unknown-category-id", annotation(category_id="1"))
    yield spoilt("unknown image id", "unknown-image-id", annotation(image_id=99))
    yield spoilt("image id as text", "unknown-image-id", annotation(image_id="1"))
    yield spoilt("unknown image", "unknown-image", named("holiday.jpg"))
    yield spoilt("frame of another video", "unknown-image", named("clip-99999999_f00000004.jpg"))
    yield spoilt("a still's name with an index", "unknown-image", named("photo-33333333_f00000001.jpg"))
    yield spoilt("no file name", "unknown-image", lambda d: d["images"][1].pop("file_name"))
    yield spoilt("file name null", "unknown-image", named(None))
    yield spoilt("file name a number", "unknown-image", named(7))
    yield spoilt("file name empty", "unknown-image", named(""))
    yield spoilt("file name with a NUL", "unknown-image", named("a\0.jpg"))
    yield spoilt("path to the root", "unknown-image", named("/etc/passwd"))
    yield spoilt("path upwards", "unknown-image", named("../../../../etc/passwd"))
    yield spoilt("backslashes upwards", "unknown-image", named("..\\..\\windows\\system.ini"))
    yield spoilt("non-ASCII name", "unknown-image", named("étang/写真.jpg"))
    yield spoilt("a very long name", "unknown-image", named("x" * 100_000))
    yield spoilt("frame past the end", "frame-index-out-of-range", named("clip-11111111_f00000010.jpg"))
    yield spoilt("unknown video id", "unknown-video-id", lambda d: d["images"][1].update(file_name="x", video_id=4))
    yield spoilt(
        "unknown video",
        "unknown-video",
        lambda d: (
            d.update(videos=[{"id": 4, "name": "x"}]),
            d["images"][1].update(file_name="x", video_id=4, frame_index=1),
        ),
    )
    yield spoilt(
        "frame index as text",
        "bad-frame-index",
        lambda d: (
            d.update(videos=[{"id": 4, "name": "clip"}]),
            d["images"][1].update(file_name="x", video_id=4, frame_index="1"),
        ),
    )
    yield spoilt("one frame twice", "two-images-for-one-frame", named(f"copy/{STEMS[0]}.png"))
    yield spoilt("augmented copies", "two-images-for-one-frame", named(f"{STEMS[0]}_jpg.rf.{'0a' * 16}.jpg"))
    yield spoilt("width 0", "bad-image-size", image(0, width=0))
    yield spoilt("height as text", "bad-image-size", image(0, height="100"))
    yield spoilt("width missing", "bad-image-size", lambda d: d["images"][0].pop("width"))
    yield spoilt("width infinite", "bad-image-size", image(0, width=INFINITE))
    yield spoilt("sides swapped", "wrong-image-size", image(0, width=100, height=200))
    yield spoilt("stretched to a square", "wrong-image-size", image(0, width=640, height=640))
    for name, box in {
        "NaN": [NAN, 1, 2, 3],
        "Infinity": [1, 1, INFINITE, 3],
        "a number past all floats": [1, 1, 10**400, 3],
        "negative width": [10, 10, -5, 5],
        "negative height": [10, 10, 5, -5],
        "zero width": [10, 10, 0, 5],
        "three numbers": [1, 2, 3],
        "text in the bbox": [1, 2, "3", 4],
        "true in the bbox": [1, 2, True, 4],
        "nested bbox": [[1, 2, 3, 4]],
        "an object as bbox": {"x": 1},
    }.items():
        yield spoilt(name, "bad-bbox", annotation(bbox=box))
    yield spoilt("no bbox", "bad-bbox", lambda d: d["annotations"][0].pop("bbox"))
    yield spoilt("box outside", "bbox-outside", annotation(bbox=[300, 10, 20, 20]))
    yield spoilt("box left of the picture", "bbox-outside", annotation(bbox=[-30, 10, 20, 20]))
    yield spoilt("corners for sides", "bbox-past-edge", annotation(bbox=[100, 20, 150, 60]))
    yield spoilt("a box of another picture", "bbox-past-edge", annotation(bbox=[10, 10, 600, 400]))
    yield spoilt("iscrowd 2", "bad-iscrowd", annotation(iscrowd=2))
    for name, segmentation in {
        "two corners": [[1, 2, 3, 4]],
        "half a corner": [[1, 2, 3, 4, 5, 6, 7]],
        "NaN in the polygon": [[1, 2, 3, 4, 5, NAN]],
        "a flat polygon": [1, 2, 3, 4, 5, 6],
        "text as polygon": "1,2,3,4,5,6",
        "RLE of swapped sides": {"size": [200, 100], "counts": [20000]},
        "RLE that is too short": {"size": [100, 200], "counts": [5]},
        "RLE with negative counts": {"size": [100, 200], "counts": [-1, 20001]},
        "RLE text that breaks off": {"size": [100, 200], "counts": "o"},
        "RLE text of no RLE": {"size": [100, 200], "counts": "no run lengths"},
    }.items():
        yield spoilt(name, "bad-segmentation", annotation(segmentation=segmentation))

    yield yolo("no class names", "no-labels", data__yaml=None)
    yield yolo("broken YAML", "yolo-classes", data__yaml="names: [car, bus\n")
    yield yolo("YAML of a Python object", "yolo-classes", data__yaml="names: !!python/object/apply:os.getcwd []\n")
    yield yolo("YAML that grows", "yolo-classes", data__yaml=LAUGHS)
    yield yolo("deep YAML", "yolo-classes", data__yaml="names: " + "[" * 5000)
    yield yolo("numbered names with a gap", "yolo-classes", data__yaml="names: {0: car, 2: bus}\n")
    yield yolo("names that are numbers", "yolo-classes", data__yaml="names: [1, 2]\n")
    yield yolo("wrong count of names", "yolo-classes", data__yaml="nc: 3\nnames: [car, bus]\n")
    yield yolo("a name twice", "yolo-classes", data__yaml="names: [car, car]\n")
    yield yolo("no name", "yolo-classes", data__yaml="names: []\n")
    yield yolo(
        "lists that differ", "yolo-classes", **{"data.yaml": None, "classes.txt": "car\nbus", "a/obj.names": "bus\ncar"}
    )
    yield yolo("unknown class", "unknown-class", data__yaml="names: [lorry, bus]\n")
    yield yolo("four values", "yolo-line", "0 0.5 0.5 0.1")
    yield yolo("a score at the end", "yolo-line", "0 0.5 0.5 0.1 0.1 0.93")
    yield yolo("half a corner", "yolo-line", "0 0.5 0.5 0.1 0.1 0.2 0.3 0.4")
    yield yolo("text for a number", "yolo-line", "0 0.5 0.5 wide 0.1")
    yield yolo("decimal commas", "yolo-line", "0 0,5 0,5 0,1 0,1")
    yield yolo("commas between", "yolo-line", "0,0.5,0.5,0.1,0.1")
    yield yolo("NaN", "yolo-line", "0 nan 0.5 0.1 0.1")
    yield yolo("infinite", "yolo-line", "0 0.5 0.5 inf 0.1")
    yield yolo("class out of range", "yolo-class-index", "2 0.5 0.5 0.1 0.1")
    yield yolo("negative class", "yolo-class-index", "-1 0.5 0.5 0.1 0.1")
    yield yolo("class by name", "yolo-class-index", "car 0.5 0.5 0.1 0.1")
    yield yolo("fractional class", "yolo-class-index", "0.5 0.5 0.5 0.1 0.1")
    yield yolo("pixels", "yolo-range", "0 25 40 30 40")
    yield yolo("negative centre", "yolo-range", "0 -0.5 0.5 0.1 0.1")
    yield yolo("no width", "bad-bbox", "0 0.5 0.5 0 0.1")
    yield yolo("flat polygon", "bad-bbox", "0 0.1 0.1 0.2 0.1 0.3 0.1")
    yield yolo("box past the edge", "bbox-past-edge", "0 0.95 0.5 0.5 0.1")
    yield yolo("unknown picture", "unknown-image", **{"labels/train/holiday.txt": ""})
    yield yolo("one frame in two splits", "two-images-for-one-frame", **{f"labels/val/{STEMS[0]}.txt": ""})
    yield yolo("UTF-16", "not-utf8", **{f"labels/train/{STEMS[0]}.txt": "0 0.5 0.5 0.1 0.1".encode("utf-16")})
    yield yolo("pictures stretched", "wrong-image-size", **{f"images/train/{STEMS[0]}.jpg": picture(64, 64)})
    yield yolo("a picture that is none", "bad-picture", **{f"images/train/{STEMS[0]}.jpg": b"JPEG"})
    yield yolo("two formats", "several-formats", **{"a.json": TEXT})

    yield xml("empty", "bad-xml", "")
    yield xml("cut off", "bad-xml", VOC[f"{STEMS[0]}.xml"][:-30])
    yield xml("not closed in order", "bad-xml", "<annotation><object></annotation></object>")
    yield xml("Latin-1 that says UTF-8", "bad-xml", "<annotation><folder>é</folder></annotation>".encode("latin-1"))
    yield xml("an encoding that is none", "bad-xml", '<?xml version="1.0" encoding="martian"?><annotation/>')
    yield xml("deep", "bad-xml", "<annotation>" + "<a>" * 100_000)
    yield xml("entities that grow", "xml-doctype", ENTITIES)
    yield xml("an entity of a file", "xml-doctype", OUTSIDE_FILE)
    yield xml("CVAT's own XML", "not-voc", "<annotations><image/></annotations>")
    yield xml("unknown picture", "unknown-image", voc("holiday", (200, 100)))
    yield xml("path upwards", "unknown-image", voc("../../etc/passwd", (200, 100)))
    yield xml("unknown class", "unknown-class", voc(STEMS[0], (200, 100), ("lorry", 1, 2, 3, 4)))
    yield xml("class without name", "bad-category-name", voc(STEMS[0], (200, 100), ("", 1, 2, 3, 4)))
    yield xml("corner as text", "bad-bbox", voc(STEMS[0], (200, 100), ("car", "left", 2, 3, 4)))
    yield xml("corner missing", "bad-bbox", voc(STEMS[0], (200, 100), ("car", "", 2, 3, 4)))
    yield xml("NaN", "bad-bbox", voc(STEMS[0], (200, 100), ("car", "nan", 2, 3, 4)))
    yield xml("corners swapped", "bad-bbox", voc(STEMS[0], (200, 100), ("car", 30, 2, 3, 4)))
    yield xml(
        "no box",
        "bad-bbox",
        "<annotation><filename>" + STEMS[0] + "</filename><object><name>car</name></object></annotation>",
    )
    yield xml("outside", "bbox-outside", voc(STEMS[0], (200, 100), ("car", 300, 2, 400, 40)))
    yield xml("size 0", "bad-image-size", voc(STEMS[0], (0, 0), ("car", 1, 2, 3, 4)))
    yield xml("size as text", "bad-image-size", voc(STEMS[0], ("wide", 100)))
    yield xml("swapped size", "wrong-image-size", voc(STEMS[0], (100, 200)))

    yield zipped("cut off", "bad-zip", cut_zip)
    yield zipped("damaged inside", "bad-zip", damaged_zip)
    yield zipped("no zip", "bad-zip", lambda path: path.write_bytes(b"PK\3\4 and nothing more"))
    yield zipped("a bomb", "zip-bomb", lambda path: write_zip(path, {"labels.json": b" " * 100_000_000}))
    yield zipped(
        "a bomb beside the labels", "zip-bomb", lambda p: write_zip(p, {"a.json": TEXT, "b.txt": bytes(50_000_000)})
    )
    yield zipped("a bomb that calls itself small", "bad-zip", lying_zip)
    yield zipped("a password", "encrypted-zip", locked_zip)
    yield zipped("a name upwards", "unsafe-name", lambda path: write_zip(path, {"../labels.json": TEXT}))
    yield zipped("a name from the root", "unsafe-name", lambda path: write_zip(path, {"/tmp/labels.json": TEXT}))
    yield zipped("backslashes upwards", "unsafe-name", lambda path: write_zip(path, {"..\\labels.json": TEXT}))
    yield zipped("a drive", "unsafe-name", lambda path: write_zip(path, {"C:\\labels.json": TEXT}))
    yield zipped("a name with control characters", "unsafe-name", lambda path: write_zip(path, {"a\x1b[2J.json": TEXT}))
    yield zipped("a link", "link-outside", link_in_zip)
    yield zipped("a name twice", "bad-zip", twice_in_zip)
    yield zipped("nothing", "no-labels", lambda path: write_zip(path, {}))
    yield zipped("a zip in a zip", "no-labels", lambda path: write_zip(path, {"inner.zip": b"PK\3\4"}))
    yield Broken("folder: a link out", "link-outside", link_out)
    yield Broken("folder: a folder link out", "link-outside", folder_link_out)
    yield Broken("folder: empty", "no-labels", lambda folder: write_folder(folder / "return", {"a/notes.md": ""}))
    yield Broken(
        "folder: a bad file among good ones",
        "not-json",
        lambda folder: write_folder(folder / "return", {"a.json": TEXT, "b.json": TEXT[:-1] + ","}),
    )


CORPUS = tuple(corpus())
