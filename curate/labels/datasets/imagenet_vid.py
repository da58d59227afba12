"""ImageNet VID: `Data/VID/**/<snippet>/000000.JPEG` with `Annotations/VID/**/<snippet>/000000.xml`.

A snippet is a folder of pictures, so each frame is a picture of its own in the pool, under its folder's name. Corners
are the first and the last pixel inside, counted from 0. Track ids are not kept: labels are of single frames.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from curate.labels.formats.voc import parse_xml, read_object, whole_number
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage
from curate.labels.values import shown

DESCRIPTION = "ImageNet VID: Data/VID/ with a folder of JPEGs a snippet, Annotations/VID/ with an XML a frame"
MATCHED_PARTS = 2
"""Every snippet has a 000000.JPEG: the folder tells them apart."""

CLASSES = {
    "n02691156": "airplane",
    "n02419796": "antelope",
    "n02131653": "bear",
    "n02834778": "bicycle",
    "n01503061": "bird",
    "n02924116": "bus",
    "n02958343": "car",
    "n02402425": "cattle",
    "n02084071": "dog",
    "n02121808": "domestic_cat",
    "n02503517": "elephant",
    "n02118333": "fox",
    "n02510455": "giant_panda",
    "n02342885": "hamster",
    "n02374451": "horse",
    "n02129165": "lion",
    "n01674464": "lizard",
    "n02484322": "monkey",
    "n03790512": "motorcycle",
    "n02324045": "rabbit",
    "n02509815": "red_panda",
    "n02411705": "sheep",
    "n01726692": "snake",
    "n02355227": "squirrel",
    "n02129604": "tiger",
    "n04468005": "train",
    "n01662784": "turtle",
    "n04530566": "watercraft",
    "n02062744": "whale",
    "n02391049": "zebra",
}
"""The names of the 30 WordNet ids, as ILSVRC 2015 gives them; another id stays as it is."""

_FIRST_PIXEL = 0


def is_root(folder: Path) -> bool:
    """Whether the folder is that of ILSVRC, with `Annotations/VID` in it."""
    return (folder / "Annotations" / "VID").is_dir()


def read(root: Path, problems: Problems) -> Returned:
    """Read the XML of every frame, in the order of snippets and frames."""
    labels = root / "Annotations" / "VID"
    images = []
    for path in sorted(labels.rglob("*.xml")):
        frame = path.relative_to(labels).with_suffix(".JPEG").as_posix()
        with problems.inside(path.relative_to(root).as_posix()):
            data = path.read_bytes()
            document = parse_xml(data, problems)
            if document.tag != "annotation":
                problems.add("not-voc", "", f"the root is <{document.tag:.40}>")
                continue
            image = ReturnedImage(
                subject=shown(frame),
                file_name=f"Data/VID/{frame}",
                size_wh=(
                    whole_number(document.findtext("size/width")),
                    whole_number(document.findtext("size/height")),
                ),
                place="",
                label_file=str(path.absolute()),
                label_file_sha256=hashlib.sha256(data).hexdigest(),
            )
            for number, element in enumerate(document.findall("object"), start=1):
                object_ = read_object(element, f"object {number}", problems, first_pixel=_FIRST_PIXEL)
                if object_ is not None:
                    category = CLASSES.get(object_.category, object_.category)
                    image.objects.append(replace(object_, category=category))
        images.append(image)
    classes = {object_.category for image in images for object_ in image.objects}
    return Returned(tuple(sorted(classes)), tuple(images))
