"""The label formats that there are, and which of them a return is in."""

from typing import cast

from curate.labels.bundle import Bundle
from curate.labels.problems import Problems
from curate.labels.returned import LabelFormat
from curate.registry import Registry

FORMATS = Registry("curate.labels.formats", "label format")


def load_format(name: str) -> LabelFormat:
    """The format of that name; UsageError with the choices where there is none."""
    return cast(LabelFormat, FORMATS.load(name))


def find_format(bundle: Bundle, name: str | None, problems: Problems) -> tuple[str, LabelFormat, list[str]]:
    """The format of a return and its label files: the one of that name, or the only one that finds any.

    LabelError where no format finds a label file, or several do.
    """
    found = {}
    for candidate in (name,) if name is not None else FORMATS.names():
        form = load_format(candidate)
        names = form.find(bundle)
        if names:
            found[candidate] = (form, names)
    if len(found) == 1:
        ((chosen, (form, names)),) = found.items()
        return chosen, form, names
    if found:
        first = ", ".join(f"{key} ({names[0]})" for key, (_, names) in found.items())
        raise problems.fatal("several-formats", f"label files of {len(found)} formats: {first}")
    raise problems.fatal("no-labels", f"no label file of {name or 'a known format'} in {len(bundle.names):,} files")
