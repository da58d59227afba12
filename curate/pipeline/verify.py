"""Prove an export: its pictures against the originals, decoded once more with another decoder."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError
from curate.handoff.manifest import MANIFEST, HandedOver, read_manifest
from curate.media.recheck import recheck
from curate.media.recheck_one import RecheckOne
from curate.media.redecode import Checked, ExportedFrame, Verdict
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import Source
from curate.workspace import Workspace

DEFAULT_SAMPLE = 50


@dataclass(frozen=True)
class VerifiedFrame:
    """An exported frame, the path of its original ("" where the workspace does not know it) and what came of it."""

    exported: HandedOver
    path: str
    checked: Checked


@dataclass(frozen=True)
class VerifyResult:
    """What was verified: frames in the order of the export. `exported` is how many the export has."""

    folder: Path
    exported: int
    frames: tuple[VerifiedFrame, ...]

    def count(self, verdict: Verdict) -> int:
        """How many frames have this verdict, see `Checked`."""
        return sum(frame.checked.verdict == verdict for frame in self.frames)

    @property
    def wrong(self) -> tuple[VerifiedFrame, ...]:
        """The frames that differ from their original, or cannot be read."""
        return tuple(frame for frame in self.frames if frame.checked.verdict in ("differs", "unreadable"))


def verify(
    workspace: Workspace,
    folder: Path | None = None,
    *,
    sample: int | None = DEFAULT_SAMPLE,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> VerifyResult:
    """Compare `sample` frames (None: all) of an export with their originals, at the size of the exported pictures.

    `folder` is the export's (default: the workspace's newest); `seed` decides which frames are taken. Each original
    must be there with the sha256 that was exported. A video is decoded with the decoder that did not read it before;
    where that one cannot be used, or disagrees, also with the one that did. Nothing is written.

    Raises CurateError where there is no export, or its manifest is damaged.
    """
    folder = folder or _newest_export(workspace)
    exported = read_manifest(folder)
    if not exported:
        raise CurateError(f"{folder}: an export without images; run `curate export` again")
    if not any(frame.image.exists() for frame in exported):
        raise CurateError(f"{folder}: none of its images is there; run `curate export` without --no-images")
    taken = _sample(exported, sample, seed)
    pool = Pool.load(workspace)
    requests: list[RecheckOne] = []
    checked: dict[str, Checked] = {}
    paths: dict[str, str] = {}
    for key, frames in _by_source(taken).items():
        source = _original(pool, key)
        if source is None:
            reason = f"no source {key} in the workspace {workspace.root}"
            for frame in frames:
                checked[frame.frame_id] = Checked(frame.frame_index, "unreadable", reason=reason)
            continue
        paths[key] = source.path
        wanted = tuple(ExportedFrame(frame.frame_index, frame.timestamp_s, frame.image) for frame in frames)
        requests.append(RecheckOne(source, frames[0].sha256, wanted))
    progress.start(f"Verifying frames of {len(requests):,} sources", len(taken), "frames")
    ids = {(frame.source, frame.frame_index): frame.frame_id for frame in taken}
    progress.advance(len(checked))
    for request, results in recheck(requests, workers=workers):
        checked |= {ids[request.source.source, one.frame_index]: one for one in results}
        progress.advance(len(results))
    progress.finish()
    found = tuple(VerifiedFrame(frame, paths.get(frame.source, ""), checked[frame.frame_id]) for frame in taken)
    return VerifyResult(folder, len(exported), found)


def _newest_export(workspace: Workspace) -> Path:
    manifests = sorted(workspace.exports.glob(f"*/{MANIFEST}"), key=lambda path: (path.stat().st_mtime_ns, path))
    if not manifests:
        raise CurateError(f"{workspace.exports}: nothing was exported yet; run `curate export` first")
    return manifests[-1].parent


def _sample(exported: Sequence[HandedOver], sample: int | None, seed: int) -> list[HandedOver]:
    if sample is None or sample >= len(exported):
        return list(exported)
    chosen = random.Random(seed).sample(range(len(exported)), sample)
    return [exported[position] for position in sorted(chosen)]


def _by_source(frames: Sequence[HandedOver]) -> dict[str, list[HandedOver]]:
    sources: dict[str, list[HandedOver]] = {}
    for frame in frames:
        sources.setdefault(frame.source, []).append(frame)
    return sources


def _original(pool: Pool, key: str) -> Source | None:
    """The source, where its file is gone as the duplicate that takes its place."""
    source = pool.sources.get(key)
    rows = [source, *(row for row in pool.duplicates.values() if row.source == key)]
    return next((row for row in rows if row is not None and Path(row.path).exists()), source)
