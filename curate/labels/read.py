"""Read a return: its format found, its files read, its pictures brought to frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from curate.labels.bundle import open_bundle
from curate.labels.place import Placed, Rules, place
from curate.labels.problems import Problems
from curate.labels.registry import find_format
from curate.types import Source


@dataclass(frozen=True)
class ReadReturn:
    """What a file, folder or zip held: the name of its format, how many label files, and the labels."""

    path: Path
    format: str
    files: int
    placed: Placed


def read_return(path: Path, sources: Iterable[Source], *, format: str | None = None, rules: Rules) -> ReadReturn:
    """Read the labels of a file, folder or zip; `format` forces one of the registry, else it is found by content.

    Raises LabelError with what is wrong, all of it, and UsageError if there is no such file or format. Either the
    whole return is read or none of it.
    """
    problems = Problems(path)
    with open_bundle(path, problems) as bundle:
        name, label_format, names = find_format(bundle, format, problems)
        returned = label_format.read(bundle, names, problems)
    placed = place(returned, sources, rules, problems)
    return ReadReturn(path, name, len(names), placed)
