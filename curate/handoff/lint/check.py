"""Ask all rules about a file."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from curate.errors import UsageError
from curate.handoff.lint.document import Document, load
from curate.handoff.lint.rules import FILE_RULES, RULES
from curate.handoff.lint.types import RECEIVERS, Finding, Severity

KEPT_HITS = 1000
"""Of a rule so many hits are kept; the others are counted."""


@dataclass(frozen=True)
class LintResult:
    """What was found in a file for a receiver, errors first, each rule once."""

    path: Path
    receiver: str
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many entries have a finding of that severity."""
        return sum(finding.count for finding in self.findings if finding.severity == severity)


def lint(path: Path, receiver: str) -> LintResult:
    """Check a COCO file for a receiver. UsageError for an unknown receiver or a file that is not there."""
    if receiver not in RECEIVERS:
        raise UsageError(f"--for {receiver}: takes no COCO file, or is unknown; choose from {', '.join(RECEIVERS)}")
    return lint_document(load(path), receiver)


def lint_document(document: Document, receiver: str) -> LintResult:
    """Check a file that was read."""
    findings = []
    for rule in RULES if document.content is not None else FILE_RULES:
        severity = rule.severity(receiver)
        if severity is None:
            continue
        hits = rule.check(document)
        kept = tuple(islice(hits, KEPT_HITS))
        if kept:
            findings.append(Finding(rule, severity, len(kept) + sum(1 for _ in hits), kept))
    findings.sort(key=lambda finding: finding.severity)
    return LintResult(document.path, receiver, tuple(findings))
