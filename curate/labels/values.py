"""Values of a label file: what they are, and how a message shows them."""

import json
from collections.abc import Iterator
from typing import Any, TypeGuard

from curate.labels.problems import Problems


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


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether `value` is a whole number that fits a table's 64 bits; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_text(value: Any) -> TypeGuard[str]:
    """Whether `value` is a text that can be written as UTF-8; JSON's escapes can make one that cannot."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def shown(value: Any) -> str:
    """The value as JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 80 else text[:77] + "..."


def type_name(value: Any) -> str:
    """What JSON calls the type of `value`."""
    names = {list: "list", dict: "object", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
