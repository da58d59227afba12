"""Rules about the classes."""

from collections.abc import Iterator

from curate.handoff.lint.document import Document
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.values import is_text, shown


@rule("no-categories", mend="list the classes to label, also where there are no annotations yet")
def no_categories(document: Document) -> Iterator[Hit]:
    """An empty list of categories."""
    if document.content is not None and not document.list_of("categories"):
        yield Hit("categories", "is empty")


@rule("bad-category-name", mend="give each category a name that is a text")
def bad_category_name(document: Document) -> Iterator[Hit]:
    """Names that are missing or no text."""
    for category in document.categories:
        if not is_text(category.value.get("name")):
            yield category.hit(f"name is {shown(category.value.get('name'))}")


@rule("duplicate-category-name", mend="merge the two, or rename one: receivers go by the name")
def duplicate_category_name(document: Document) -> Iterator[Hit]:
    """A name that another category has."""
    seen: dict[str, str] = {}
    for category in document.categories:
        name = category.value.get("name")
        if is_text(name) and seen.setdefault(name, str(category)) != str(category):
            yield category.hit(f"{shown(name)} is the name of {seen[name]} too")


@rule(
    "padded-category-name",
    mend="take the blanks off: the labels that CVAT has must have the very same names",
    warnings=RECEIVERS,
)
def padded_category_name(document: Document) -> Iterator[Hit]:
    """Names with blanks around them, or with what cannot be printed."""
    for category in document.categories:
        name = category.value.get("name")
        if is_text(name) and (name != name.strip() or not name.isprintable()):
            yield category.hit(f"name is {shown(name)}")


@rule(
    "missing-supercategory",
    mend="add supercategory, any text: some readers expect it",
    warnings=RECEIVERS,
    fixable=True,
)
def missing_supercategory(document: Document) -> Iterator[Hit]:
    """Categories without a supercategory."""
    for category in document.categories:
        if not is_text(category.value.get("supercategory")):
            yield category.hit(f"supercategory is {shown(category.value.get('supercategory'))}")
