"""Pascal VOC XML, a file a picture: LabelImg, CVAT, Label Studio and Roboflow, whose polygons are read too.

Corners are taken as they stand: these tools count pixels from 0, with the far edge outside the object.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from curate.labels.bundle import Bundle
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject
from curate.labels.values import is_text, shown
from curate.values import finite_numbers

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DESCRIPTION = "Pascal VOC XML folder: LabelImg, CVAT, Label Studio, Roboflow"
_ROOT = re.compile(rb"<annotation[\s>/]")
_MAX_DEPTH = 50


def find(bundle: Bundle) -> list[str]:
    """The XML files, if there is one that looks like an annotation; a single XML file whatever is in it."""
    names = [name for name in bundle.names if PurePosixPath(name).suffix.lower() == ".xml"]
    if bundle.single or any(_ROOT.search(bundle.head(name)) for name in names):
        return names
    return []


def read(bundle: Bundle, names: Sequence[str], problems: Problems) -> Returned:
    """Read each XML file. A file that is no annotation is noted and passed over; classes are in alphabetical order."""
    images = []
    for name in names:
        with problems.inside(bundle.place(name)):
            data = bundle.read(name)
            root = parse_xml(data, problems)
            if root.tag != "annotation":
                problems.add("not-voc", "", f"the root is <{root.tag:.40}>")
                continue
            image = ReturnedImage(
                subject=shown(root.findtext("filename", "")),
                file_name=root.findtext("filename", "").strip() or name,
                size_wh=(whole_number(root.findtext("size/width")), whole_number(root.findtext("size/height"))),
                place=bundle.place(name),
                label_file=bundle.label_file(name),
                label_file_sha256=hashlib.sha256(data).hexdigest(),
            )
            for number, element in enumerate(root.findall("object"), start=1):
                object_ = read_object(element, f"object {number}", problems)
                if object_ is not None:
                    image.objects.append(object_)
            images.append(image)
    classes = {object_.category for image in images for object_ in image.objects}
    return Returned(tuple(sorted(classes)), tuple(images))


def parse_xml(data: bytes, problems: Problems) -> "Element":
    """The document's root. A DOCTYPE is refused, and with it entities that grow or that read other files."""
    from xml.etree.ElementTree import TreeBuilder
    from xml.parsers import expat

    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise problems.fatal("bad-xml", f"elements nested more than {_MAX_DEPTH} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def doctype(*_: Any) -> None:
        raise problems.fatal("xml-doctype", "it has a DOCTYPE")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise problems.fatal("bad-xml", f"not XML ({error})") from error
    return builder.close()


def read_object(
    element: "Element", subject: str, problems: Problems, *, first_pixel: int | None = None
) -> ReturnedObject | None:
    """An `<object>`; None where it is none, which is noted.

    With a `first_pixel` the corners are those of the first and last pixel inside, counted from it; else they stand.
    """
    name = (element.findtext("name") or "").strip()
    if not is_text(name):
        problems.add("bad-category-name", subject, f"name is {shown(name)}")
        return None
    texts = [element.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    corners = finite_numbers([_number(text) for text in texts])
    stated = f"bndbox is {shown(texts)}"
    if corners is not None and first_pixel is not None:
        x1, y1, x2, y2 = (corner - first_pixel for corner in corners)
        corners = (x1, y1, x2 + 1, y2 + 1)
    if corners is None or corners[0] >= corners[2] or corners[1] >= corners[3]:
        problems.add("bad-bbox", subject, stated)
        return None
    x1, y1, x2, y2 = corners
    return ReturnedObject(subject, stated, name, (x1, y1, x2, y2), segmentation=_polygon(element))


def _polygon(element: "Element") -> Any:
    """Roboflow's polygon, `<polygon><x1>..</x1><y1>..</y1><x2>...`, as in COCO; None where there is none."""
    polygon = element.find("polygon")
    if polygon is None or not len(polygon):
        return None
    count = (len(polygon) + 1) // 2
    return [[_number(polygon.findtext(f"{axis}{n}")) for n in range(1, count + 1) for axis in "xy"]]


def _number(text: str | None) -> Any:
    try:
        return float(text or "")
    except ValueError:
        return text


def whole_number(text: str | None) -> Any:
    """A size: a whole number where it is one, else the text as it stands, which is then refused by its value."""
    if text is None:
        return None
    number = _number(text)
    return int(number) if isinstance(number, float) and number.is_integer() else text
