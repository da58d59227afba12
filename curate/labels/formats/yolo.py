"""YOLO folders: a text file a picture, a line an object, and the class names in data.yaml, obj.names or classes.txt.

A line is `class x y width height` or, for a polygon, `class x1 y1 x2 y2 x3 y3 ...`: the class counts from 0 in the list
of names, x and y are the box's centre, all are parts of the picture's width and height. An empty file is a picture
without objects; a picture without a file is not labelled.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import PurePosixPath

from curate.labels.bundle import Bundle
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject
from curate.labels.types import BoxXyxy
from curate.labels.values import is_text, shown

DESCRIPTION = "YOLO folder, boxes or polygons: Ultralytics, CVAT, Label Studio, Roboflow"
_LISTS = ("obj.names", "classes.txt", "_darknet.labels")
_NOT_LABELS = {*_LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "default.txt", "selection.txt"}
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
# Coordinates may pass the edge by a rounding error or a careless hand; pixels instead of fractions are far beyond.
_SLACK = 0.01


def find(bundle: Bundle) -> list[str]:
    """The text files of a return that has class names: those below `labels/`, or where there are none, all."""
    if bundle.single or not _class_files(bundle):
        return []
    texts = [name for name in bundle.names if _is_label_file(PurePosixPath(name))]
    below = [name for name in texts if "labels" in PurePosixPath(name).parts[:-1]]
    return below or texts


def read(bundle: Bundle, names: Sequence[str], problems: Problems) -> Returned:
    """Read each text file. A picture's size is that of the picture in the return; else its source's stands for it."""
    classes = _read_classes(bundle, problems)
    pictures: dict[str, list[str]] = {}
    for name in bundle.names:
        path = PurePosixPath(name)
        if path.suffix.lower() in _PICTURES:
            pictures.setdefault(path.stem, []).append(name)
    images = []
    for name in names:
        data = bundle.read(name)
        beside = pictures.get(PurePosixPath(name).stem, [])
        image = ReturnedImage(
            subject="",
            file_name=beside[0] if len(beside) == 1 else name,
            size_wh=_size(bundle, beside[0], problems) if len(beside) == 1 else (None, None),
            place=bundle.place(name),
            label_file=bundle.label_file(name),
            label_file_sha256=hashlib.sha256(data).hexdigest(),
            fractions=True,
        )
        with problems.inside(image.place):
            image.objects.extend(_objects(data, classes, problems))
        images.append(image)
    return Returned(classes, tuple(images))


def _is_label_file(path: PurePosixPath) -> bool:
    name = path.name.lower()
    return path.suffix.lower() == ".txt" and name not in _NOT_LABELS and not name.startswith("readme")


def _class_files(bundle: Bundle) -> list[str]:
    """The files that can hold class names, those that are surest first."""
    yamls = [name for name in bundle.names if PurePosixPath(name).suffix.lower() in (".yaml", ".yml")]
    yamls = [name for name in yamls if b"names" in bundle.head(name, 2**20)]
    lists = [name for kind in _LISTS for name in bundle.names if PurePosixPath(name).name.lower() == kind]
    return yamls or lists


def _read_classes(bundle: Bundle, problems: Problems) -> tuple[str, ...]:
    found: dict[str, tuple[str, ...]] = {}
    for name in _class_files(bundle):
        with problems.inside(bundle.place(name)):
            data = bundle.read(name)
            text = _text(data, problems)
            is_yaml = PurePosixPath(name).suffix.lower() in (".yaml", ".yml")
            found[name] = _yaml_names(text, problems) if is_yaml else tuple(line.strip() for line in text.splitlines())
            # Lists often end with an empty line.
            while not is_yaml and found[name] and not found[name][-1]:
                found[name] = found[name][:-1]
            if not found[name] or not all(is_text(one) for one in found[name]):
                raise problems.fatal("yolo-classes", "an empty list or name")
            if len(set(found[name])) < len(found[name]):
                raise problems.fatal("yolo-classes", "a name is there twice")
    first = next(iter(found))
    for name, classes in found.items():
        # A second list (one a split) must be the same one.
        if classes != found[first]:
            raise problems.fatal("yolo-classes", f"{first} and {name} list different names")
    return found[first]


def _yaml_names(text: str, problems: Problems) -> tuple[str, ...]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise problems.fatal("yolo-classes", f"not YAML ({first_line})") from error
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict):
        places = sorted(key for key in names if isinstance(key, int))
        if places != list(range(len(names))):
            raise problems.fatal("yolo-classes", "the names are not numbered 0, 1, 2, ...")
        names = [names[place] for place in places]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise problems.fatal("yolo-classes", "`names` is not a list of names")
    count = document.get("nc", len(names))
    if count != len(names):
        raise problems.fatal("yolo-classes", f"nc is {count!r:.40}, but there are {len(names)} names")
    return tuple(names)


def _objects(data: bytes, classes: tuple[str, ...], problems: Problems) -> list[ReturnedObject]:
    objects = []
    for number, line in enumerate(_text(data, problems).splitlines(), start=1):
        if line.strip():
            object_ = _object(line, f"line {number}", classes, problems)
            if object_ is not None:
                objects.append(object_)
    return objects


def _object(line: str, subject: str, classes: tuple[str, ...], problems: Problems) -> ReturnedObject | None:
    tokens = line.split()
    numbers = _numbers(tokens[1:])
    stated = shown(line.strip())
    is_box = len(tokens) == 5
    if numbers is None or not (is_box or (len(tokens) >= 7 and len(tokens) % 2 == 1)):
        detail = "a sixth number, the score of a prediction" if len(tokens) == 6 else f"{len(tokens)} values"
        problems.add("yolo-line", subject, stated if numbers is None else f"{stated}: {detail}")
        return None
    if not (tokens[0].isascii() and tokens[0].isdigit()) or len(tokens[0]) > 9 or int(tokens[0]) >= len(classes):
        problems.add("yolo-class-index", subject, f"{stated}: the classes are 0 to {len(classes) - 1}")
        return None
    if not all(-_SLACK <= number <= 1 + _SLACK for number in numbers):
        problems.add("yolo-range", subject, stated)
        return None
    box = _box(numbers) if is_box else _bounds(numbers)
    if box[0] >= box[2] or box[1] >= box[3]:
        problems.add("bad-bbox", subject, f"{stated}: no width or height")
        return None
    polygon = None if is_box else [list(numbers)]
    return ReturnedObject(subject, stated, classes[int(tokens[0])], box, segmentation=polygon)


def _numbers(tokens: Sequence[str]) -> tuple[float, ...] | None:
    try:
        numbers = tuple(map(float, tokens))
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _box(numbers: tuple[float, ...]) -> BoxXyxy:
    x, y, width, height = numbers
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _bounds(numbers: tuple[float, ...]) -> BoxXyxy:
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _text(data: bytes, problems: Problems) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problems.fatal("not-utf8", f"not UTF-8 text ({error.reason} at byte {error.start:,})") from error


def _size(bundle: Bundle, name: str, problems: Problems) -> tuple[int | None, int | None]:
    """The size of a picture of the return, as a viewer shows it."""
    from PIL import ExifTags, Image, UnidentifiedImageError

    with bundle.open(name) as file:
        try:
            with Image.open(file) as image:
                width, height = image.size
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            problems.add("bad-picture", name, str(error).partition("\n")[0])
            return None, None
    return (height, width) if turned else (width, height)
