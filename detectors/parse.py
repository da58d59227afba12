"""A dataclass of settings from JSON values: what does not fit is said in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

Settings = TypeVar("Settings")


def parse(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build a dataclass, and those among its fields, from JSON values; a missing key leaves its default.

    Nothing is converted but what JSON has no form of: a whole number is a float too, and a list is a tuple.

    Raises ValueError, which names the key and the value: an unknown key, a value of another type, or one that the
    dataclass itself refuses. TypeError: a value that JSON does not have.
    """
    # Imported here: a command that trains nothing starts sooner without it.
    from pydantic import TypeAdapter, ValidationError

    _check_keys(kind, values)
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        refused = first.get("ctx", {}).get("error")
        if isinstance(refused, ValueError):  # the dataclass's own word
            raise refused from None
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{key}: {first['msg']}, got {first['input']!r}") from None


def _check_keys(kind: type, values: Mapping[str, Any]) -> None:
    """Raise ValueError for keys that no field has."""
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"unknown {kind.__name__} keys {', '.join(unknown)}; known are {', '.join(known)}")
    types = get_type_hints(kind)
    for key, value in values.items():
        if is_dataclass(types[key]) and isinstance(value, Mapping):
            _check_keys(types[key], value)
