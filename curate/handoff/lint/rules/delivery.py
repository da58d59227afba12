"""Rules about what lies beside the file: the pictures, the layout that a receiver wants, manifest and checksums."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from curate.handoff.folder import CHECKSUMS, read_checksums
from curate.handoff.lint.document import Document, load, size_of
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.handoff.manifest import MANIFEST
from curate.values import is_text, shown

_SPLITS = ("train", "val", "valid", "validation", "test")


@rule("no-pictures", mend="hand the images over with the file, in images/ beside it", warnings=RECEIVERS)
def no_pictures(document: Document) -> Iterator[Hit]:
    """A file none of whose pictures is found near it."""
    if document.images and document.picture_folder is None:
        yield Hit("images", f"none of the {len(document.images)} pictures is near {document.path.name}")


@rule("missing-picture", mend="put the picture there, or take its entry out")
def missing_picture(document: Document) -> Iterator[Hit]:
    """Pictures that are not where the others are."""
    for image, picture in document.pictures:
        if picture.missing:
            yield image.hit(f"there is no such file in {document.picture_folder}")


@rule("broken-picture", mend="export again: the file is not a picture that can be read")
def broken_picture(document: Document) -> Iterator[Hit]:
    """Files that are no pictures."""
    for image, picture in document.pictures:
        if picture.error:
            yield image.hit(picture.error)


@rule("wrong-size", mend="width and height are those of the pixels in the file; boxes are displaced otherwise")
def wrong_size(document: Document) -> Iterator[Hit]:
    """Pictures of another size than their entry says."""
    for image, picture in document.pictures:
        stated = size_of(image)
        if picture.size_wh and stated and not picture.turned and stated != picture.size_wh:
            yield image.hit(
                f"{stated[0]}x{stated[1]} in the file, the picture is {'x'.join(map(str, picture.size_wh))}"
            )


@rule("turned-picture", mend="save the picture upright: some receivers turn it by its EXIF orientation, others do not")
def turned_picture(document: Document) -> Iterator[Hit]:
    """Pictures with an EXIF orientation."""
    return (image.hit("is turned by its EXIF orientation") for image, picture in document.pictures if picture.turned)


@rule(
    "cvat-layout",
    mend="put the file at annotations/instances_<subset>.json and its pictures into images/<subset>/",
    warnings=["cvat"],
)
def cvat_layout(document: Document) -> Iterator[Hit]:
    """A place where Datumaro, and so CVAT, does not look for a dataset."""
    path = document.path
    subset = path.stem.removeprefix("instances_")
    if path.parent.name != "annotations" or subset == path.stem:
        yield Hit("", f"the file is {path.parent.name}/{path.name}")
    elif not (path.parent.parent / "images" / subset).is_dir():
        yield Hit("", f"there is no folder images/{subset} beside annotations/")


@rule(
    "roboflow-layout", mend="name the file _annotations.coco.json and put it beside its pictures", errors=["roboflow"]
)
def roboflow_layout(document: Document) -> Iterator[Hit]:
    """Another name, or pictures elsewhere."""
    folder = document.picture_folder
    if document.path.name != "_annotations.coco.json":
        yield Hit("", f"the file is named {document.path.name}")
    elif folder is not None and folder != document.path.parent:
        yield Hit("", f"the pictures are in {folder}")


@rule(
    "supervisely-layout",
    mend="put the file at <dataset>/annotations/instances.json and its pictures into <dataset>/images/",
    errors=["supervisely"],
)
def supervisely_layout(document: Document) -> Iterator[Hit]:
    """A place where Supervisely's import does not look."""
    path = document.path
    if (path.parent.name, path.name) != ("annotations", "instances.json"):
        yield Hit("", f"the file is {path.parent.name}/{path.name}")
    elif not (path.parent.parent / "images").is_dir():
        yield Hit("", "there is no folder images beside annotations/")


@rule(
    "no-cvat-labels",
    mend="export with curate, and paste labels.json into CVAT before importing: it makes no labels itself",
    warnings=["cvat"],
)
def no_cvat_labels(document: Document) -> Iterator[Hit]:
    """No list of labels to paste into CVAT."""
    return _not_near(document, "labels.json")


@rule(
    "no-label-config",
    mend="export with curate, and paste label_config.xml into the project's labelling interface",
    warnings=["label-studio"],
)
def no_label_config(document: Document) -> Iterator[Hit]:
    """No labelling interface for Label Studio."""
    return _not_near(document, "label_config.xml")


@rule("no-manifest", mend="export with curate: the manifest says which frame each picture is", warnings=RECEIVERS)
def no_manifest(document: Document) -> Iterator[Hit]:
    """No manifest.json beside the file or above it."""
    return _not_near(document, MANIFEST)


@rule("no-checksums", mend="export with curate, or run sha256sum over the delivery", warnings=RECEIVERS)
def no_checksums(document: Document) -> Iterator[Hit]:
    """No SHA256SUMS beside the file or above it."""
    return _not_near(document, CHECKSUMS)


@rule("changed-file", mend="export again, or write the checksums anew: the file is not as it was", warnings=RECEIVERS)
def changed_file(document: Document) -> Iterator[Hit]:
    """A file that SHA256SUMS has with another sum."""
    for folder in _near(document.path):
        written = read_checksums(folder).get(document.path.relative_to(folder).as_posix())
        if written is not None and document.sha256 and written != document.sha256:
            yield Hit("", f"{folder / CHECKSUMS} has another sum for it")


@rule(
    "split-by-frame",
    mend="split by video: frames of one video in training and validation make the measured AP too good",
    warnings=RECEIVERS,
)
def split_by_frame(document: Document) -> Iterator[Hit]:
    """Videos that another split beside this one has frames of."""
    ours = _videos(document)
    for path in _other_splits(document.path) if ours else ():
        shared = sorted(ours & _videos(load(path)))
        if shared:
            yield Hit("", f"{len(shared)} of its videos are in {path} too, the first: {shown(shared[0])}")


def _not_near(document: Document, name: str) -> Iterator[Hit]:
    if not any((folder / name).is_file() for folder in _near(document.path) if folder / name != document.path):
        yield Hit("", f"no {name} beside the file or above it")


def _near(path: Path) -> list[Path]:
    """The folder of the file and the two above it: an export has its file at most two folders down."""
    return [path.parent, *list(path.parent.parents)[:2]]


def _videos(document: Document) -> set[str]:
    values = (image.value.get("video_sha256") or image.value.get("video") for image in document.images)
    return {value for value in values if is_text(value)}


def _other_splits(path: Path) -> list[Path]:
    """The files of the other splits: instances_val.json beside instances_train.json, val/x.json for train/x.json."""
    prefix, _, name = path.stem.rpartition("_")
    found = [
        path.with_name(f"{prefix}_{other}{path.suffix}" if prefix else f"{other}{path.suffix}") for other in _SPLITS
    ]
    found = found if name in _SPLITS else []
    parts = PurePosixPath(path.as_posix()).parts
    for place in range(max(0, len(parts) - 4), len(parts) - 1):
        if parts[place] in _SPLITS:
            found += [Path(*parts[:place], other, *parts[place + 1 :]) for other in _SPLITS]
    return sorted({other for other in found if other != path and other.is_file()})
