"""Check a COCO file for a receiver, and mend what is safe to mend."""

from dataclasses import dataclass
from pathlib import Path

from curate.errors import UsageError
from curate.handoff.lint.check import LintResult, lint, lint_document
from curate.handoff.lint.document import load
from curate.handoff.lint.fix import fix, write
from curate.tables import atomic_replace


@dataclass(frozen=True)
class FixResult:
    """A file before and after it was mended, where the mended one was written, and where the original is kept."""

    before: LintResult
    after: LintResult
    written: Path
    original: Path

    @property
    def mended(self) -> dict[str, int]:
        """How many entries each rule found fault with before and not any more; the rules in the order of the report."""
        left = {finding.rule.id: finding.count for finding in self.after.findings}
        gone = {finding.rule.id: finding.count - left.get(finding.rule.id, 0) for finding in self.before.findings}
        return {id_: count for id_, count in gone.items() if count > 0}


def lint_and_fix(path: Path, receiver: str, *, out: Path | None = None, in_place: bool = False) -> FixResult:
    """Mend a file for a receiver and check what came of it, as if it lay where the original does.

    The mended file goes to `out`, by default `<name>.fixed.json` beside the original. `in_place` puts it in the
    original's place and keeps that as `<name>.orig`; the original is changed in no other way.

    Raises UsageError for an `out` that would overwrite the original, and CurateError for a file that is not COCO.
    """
    before = lint(path, receiver)
    if in_place:
        written, original = path, path.with_name(f"{path.name}.orig")
        if original.exists():
            raise UsageError(f"--in-place: {original} is there already; move it away, it may be the only original")
    else:
        written, original = out or path.with_name(f"{path.stem}.fixed.json"), path
        if written.exists() and written.samefile(path):
            raise UsageError(f"--out {written}: that is the original; give another name, or --in-place")
    mended = fix(load(path))
    if in_place:
        atomic_replace(original, path.read_bytes())
    write(mended, written)
    return FixResult(before, lint_document(mended, receiver), written, original)


__all__ = ["FixResult", "LintResult", "lint", "lint_and_fix"]
