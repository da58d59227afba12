"""Rules about ids: whole numbers from 1, each once, and each reference to one that is there."""

from collections.abc import Iterator
from typing import Any

from curate.handoff.lint.document import Document, Entry, key_of
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.values import is_whole, shown

_REFERENCES = ("image_id", "category_id")


@rule("string-id", mend="write ids as numbers, not as texts (cvat#7356)", fixable=True)
def string_id(document: Document) -> Iterator[Hit]:
    """Ids, and references to them, that are numbers in quotes."""
    for entry, key, value in _ids(document):
        if isinstance(value, str) and key_of(value) is not None:
            yield entry.hit(f"{key} is {shown(value)}")


@rule("bad-id", mend="give each entry a whole number as id", fixable=True)
def bad_id(document: Document) -> Iterator[Hit]:
    """Ids that are missing or no whole numbers."""
    for entry, key, value in _ids(document):
        is_number = is_whole(value) or (isinstance(value, str) and key_of(value) is not None)
        if not is_number and (key == "id" or key_of(value) is not None):
            yield entry.hit(f"{key} is {shown(value)}")


@rule("duplicate-image-id", mend="give each image an id of its own; annotations cannot tell which is meant")
def duplicate_image_id(document: Document) -> Iterator[Hit]:
    """An image id that was there before."""
    return _duplicates(document.images)


@rule("duplicate-category-id", mend="give each category an id of its own; annotations cannot tell which is meant")
def duplicate_category_id(document: Document) -> Iterator[Hit]:
    """A category id that was there before."""
    return _duplicates(document.categories)


@rule("duplicate-annotation-id", mend="number the annotations anew; readers keep one of each id", fixable=True)
def duplicate_annotation_id(document: Document) -> Iterator[Hit]:
    """An annotation id that was there before."""
    return _duplicates(document.annotations)


@rule(
    "category-zero",
    mend="number categories from 1: CVAT takes 0 for no label (datumaro#679), detectors for the background",
    errors=["cvat"],
    warnings=RECEIVERS,
    fixable=True,
)
def category_zero(document: Document) -> Iterator[Hit]:
    """Category ids of 0 and below."""
    return (
        entry.hit(f"its id is {entry.key}") for entry in document.categories if entry.key is not None and entry.key < 1
    )


@rule("id-below-one", mend="number from 1", warnings=RECEIVERS, fixable=True)
def id_below_one(document: Document) -> Iterator[Hit]:
    """Ids of images and annotations of 0 and below."""
    for entry in (*document.images, *document.annotations):
        if entry.key is not None and entry.key < 1:
            yield entry.hit(f"its id is {entry.key}")


@rule("categories-not-contiguous", mend="number categories 1, 2, 3 without gaps", warnings=RECEIVERS, fixable=True)
def categories_not_contiguous(document: Document) -> Iterator[Hit]:
    """Gaps in the ids of categories."""
    keys = sorted(document.categories_by_key)
    if keys and keys != list(range(keys[0], keys[0] + len(keys))):
        yield Hit("categories", f"ids from {keys[0]} to {keys[-1]}, but there are {len(keys)}")
    elif keys and keys[0] > 1:
        yield Hit("categories", f"ids begin at {keys[0]}")


@rule("unknown-image-id", mend="add the image, or remove the annotation")
def unknown_image_id(document: Document) -> Iterator[Hit]:
    """Annotations of images that are not listed."""
    return _unknown(document, "image_id", document.images_by_key)


@rule("unknown-category-id", mend="add the category, or mend the annotation: CVAT stops at an object without a label")
def unknown_category_id(document: Document) -> Iterator[Hit]:
    """Annotations of categories that are not listed."""
    return _unknown(document, "category_id", document.categories_by_key)


@rule("unknown-license", mend="let license be the id of an entry of licenses", warnings=RECEIVERS, fixable=True)
def unknown_license(document: Document) -> Iterator[Hit]:
    """Images that name a licence that is not listed."""
    known = {key_of(one.get("id")) for one in document.list_of("licenses") if isinstance(one, dict)} - {None}
    for image in document.images:
        value = image.value.get("license")
        if known and value is not None and key_of(value) not in known:
            yield image.hit(f"license is {shown(value)}")


def _ids(document: Document) -> Iterator[tuple[Entry, str, Any]]:
    for entry in (*document.images, *document.annotations, *document.categories):
        yield entry, "id", entry.value.get("id")
        if entry.word == "annotation":
            for key in _REFERENCES:
                yield entry, key, entry.value.get(key)


def _duplicates(entries: list[Entry]) -> Iterator[Hit]:
    seen: dict[int, int] = {}
    for entry in entries:
        if entry.key is not None and seen.setdefault(entry.key, entry.position) != entry.position:
            yield entry.hit(f"number {entry.position + 1} of the list has the id of number {seen[entry.key] + 1}")


def _unknown(document: Document, key: str, known: dict[int, Entry]) -> Iterator[Hit]:
    for annotation in document.annotations:
        value = annotation.value.get(key)
        found = key_of(value)
        if found is None or found not in known:
            yield annotation.hit(f"{key} is {shown(value)}")
