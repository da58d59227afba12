"""Values of JSON that others wrote: what they are, and how a message shows them."""

import json
import math
from typing import Any, TypeGuard


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


def finite_numbers(value: Any) -> tuple[float, ...] | None:
    """`value` as floats if it is a list of finite numbers, else None. JSON in Python lets NaN and Infinity through."""
    if not isinstance(value, list):
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        return None
    try:
        numbers = tuple(float(number) for number in value)
    except OverflowError:  # a whole number beyond the range of a float
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def shown(value: Any) -> str:
    """The value as JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 80 else text[:77] + "..."


def type_name(value: Any) -> str:
    """What JSON calls the type of `value`."""
    names = {list: "list", dict: "object", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
