"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from curate.handoff.lint.document import Document

Severity = Literal["error", "warning"]
"""An error is refused by the receiver, or costs something of the file there; a warning is neither, but asks for it."""

RECEIVERS = ("coco", "cvat", "label-studio", "roboflow", "supervisely")
"""The receiver profiles that take COCO. `coco` is pycocotools and what is built on it."""


class Hit(NamedTuple):
    """An offending entry, such as "annotation 7", and what is wrong with it."""

    entry: str
    detail: str


Check = Callable[["Document"], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """A rule with a stable id. `errors` and `warnings` are the receivers for which a hit is one; for others none."""

    id: str
    mend: str
    errors: frozenset[str]
    warnings: frozenset[str]
    fixable: bool
    check: Check

    def severity(self, receiver: str) -> Severity | None:
        """How bad a hit is for a receiver; None where the rule is not for it."""
        if receiver in self.errors:
            return "error"
        return "warning" if receiver in self.warnings else None


@dataclass(frozen=True)
class Finding:
    """All hits of a rule on a file: how many, and the first of them."""

    rule: Rule
    severity: Severity
    count: int
    hits: tuple[Hit, ...]


def rule(
    id_: str,
    *,
    mend: str,
    errors: Iterable[str] = (),
    warnings: Iterable[str] = (),
    fixable: bool = False,
) -> Callable[[Check], Rule]:
    """Make a rule of a function that yields the hits. Without receivers it is an error for all of them."""
    refused = frozenset(errors)
    if not refused and not warnings:
        refused = frozenset(RECEIVERS)

    def make(check: Check) -> Rule:
        return Rule(id_, mend, refused, frozenset(warnings) - refused, fixable, check)

    return make
