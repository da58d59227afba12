"""Rules about the file as a whole: can it be read at all, and has it all five keys."""

from collections.abc import Iterator

from curate.handoff.lint.document import LISTS, MAX_BYTES, Document
from curate.handoff.lint.types import RECEIVERS, Check, Hit, rule
from curate.values import shown, type_name


def _while_reading(id_: str) -> Check:
    """The check of a rule whose hits were found when the file was read."""
    return lambda document: iter(document.while_reading[id_])


too_large = rule("too-large", mend=f"split the file: at most {MAX_BYTES // 2**20} MiB are read")(
    _while_reading("too-large")
)
not_utf8 = rule("not-utf8", mend="save the file as UTF-8")(_while_reading("not-utf8"))
bom = rule("bom", mend="save the file without a byte order mark: JSON has none", fixable=True)(_while_reading("bom"))
not_json = rule("not-json", mend="export the file again: it is cut off, or was edited by hand")(
    _while_reading("not-json")
)
too_deep = rule("too-deep", mend="export the file again: nothing of COCO is nested like that")(
    _while_reading("too-deep")
)
not_coco = rule("not-coco", mend="give an object with the lists images, annotations and categories")(
    _while_reading("not-coco")
)
nan = rule(
    "nan", mend="put null, or a number: JSON has no NaN and no Infinity, and strict readers refuse it", fixable=True
)(_while_reading("nan"))


@rule(
    "missing-info",
    mend="add an object info; CVAT's reader stops without one",
    errors=["cvat"],
    warnings=RECEIVERS,
    fixable=True,
)
def missing_info(document: Document) -> Iterator[Hit]:
    """The key `info`, an object."""
    if document.content is not None and not isinstance(document.content.get("info"), dict):
        yield Hit("info", _missing(document.content, "info"))


@rule(
    "missing-licenses",
    mend="add a list licenses with an entry; CVAT's reader stops without one (cvat#9406)",
    errors=["cvat"],
    warnings=RECEIVERS,
    fixable=True,
)
def missing_licenses(document: Document) -> Iterator[Hit]:
    """The key `licenses`, a list that is not empty."""
    if document.content is not None and not document.list_of("licenses"):
        yield Hit("licenses", _missing(document.content, "licenses"))


@rule("no-run-id", mend="export with curate, or add the run's name to info as run_id", warnings=RECEIVERS)
def no_run_id(document: Document) -> Iterator[Hit]:
    """`info.run_id`, by which a return is traced to the selection."""
    info = (document.content or {}).get("info")
    if isinstance(info, dict) and not info.get("run_id"):
        yield Hit("info", "has no run_id")


@rule("bad-entry", mend="each entry is an object; remove what is not")
def bad_entry(document: Document) -> Iterator[Hit]:
    """Entries of the lists that are not objects."""
    for key in LISTS:
        for position, value in enumerate(document.list_of(key)):
            if not isinstance(value, dict):
                yield Hit(f"{key} number {position + 1}", f"a JSON {type_name(value)}: {shown(value)}")


def _missing(content: dict[str, object], key: str) -> str:
    if key not in content:
        return "is missing"
    return "is empty" if content[key] in ([], {}) else f"is a JSON {type_name(content[key])}"
