"""The rules, one function each, in files by what they look at. RULES lists them all, in the order of the report."""

from types import ModuleType

from curate.handoff.lint.rules import annotations, categories, delivery, file, ids, images, masks
from curate.handoff.lint.types import Rule


def _rules_of(module: ModuleType) -> list[Rule]:
    return [value for value in vars(module).values() if isinstance(value, Rule)]


FILE_RULES: tuple[Rule, ...] = tuple(_rules_of(file))
"""What can be wrong with the file as a whole. Where nothing can be read, these alone are asked."""

RULES: tuple[Rule, ...] = (
    *FILE_RULES,
    *(one for module in (ids, categories, images, annotations, masks, delivery) for one in _rules_of(module)),
)
