"""The entries of a label file's lists, and what their values are."""

from collections.abc import Iterator
from typing import Any

from curate.labels.problems import Problems
from curate.values import is_text, is_whole, shown, type_name

__all__ = ["entries", "is_text", "is_whole", "shown", "type_name"]


def entries(document: dict[str, Any], key: str, word: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a list by id; what is not an object, has no whole number as id, or repeats one is noted."""
    seen = set()
    for position, entry in enumerate(document.get(key) or []):
        subject = f"{word} number {position + 1} of the list"
        if not isinstance(entry, dict):
            problems.add("bad-entry", subject, f"a JSON {type_name(entry)}")
            continue
        id_ = entry.get("id")
        if not is_whole(id_):
            problems.add("bad-id", subject, f"id is {shown(id_)}")
        elif id_ in seen:
            problems.add(f"duplicate-{word}-id", f"{word} {id_}", "more than one has this id")
        else:
            seen.add(id_)
            yield id_, entry
