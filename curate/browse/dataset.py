"""Score and selection tables as a FiftyOne dataset: one image sample a frame of the pool.

The dataset is a view of the workspace's tables. Building it again brings it up to date in place, and keeps what a
person did in the App: tags on frames and boxes, own fields and own saved views.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from curate.browse.database import BrowseUnavailable, answering, connect, database_problem
from curate.browse.documents import Document, LabeledBox, new_document, sample_fields, update_of
from curate.browse.schema import declare_fields, new_dataset
from curate.browse.scores import ScoredFrame, ScoreTables, duplicate_groups, frame_batches
from curate.browse.tags import PersonTags, keep_tags, kept_tags, name_of
from curate.browse.views import save_views
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import SelectedFrame
from curate.workspace import Workspace

__all__ = ["BrowseUnavailable", "DatasetSummary", "LabeledBox", "build_dataset", "database_problem"]


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset that was built: its name in FiftyOne, its samples, and how many of them were picked."""

    name: str
    samples: int
    selected: int


def build_dataset(
    workspace: Workspace,
    pool: Pool,
    *,
    score_run: Path | None,
    selection: Sequence[SelectedFrame],
    details: Mapping[str, Mapping[str, Any]] | None = None,
    ground_truth: Mapping[str, Sequence[LabeledBox]] | None = None,
    progress: Progress = SILENT,
) -> DatasetSummary:
    """Make or update the dataset `workspace.dataset_name`.

    `score_run` is a folder `scores/<run>`; of a cold start (embeddings only) nothing is taken, and `ranked` then
    shows the selection. `details` are the lines of selection.jsonl by frame_id. `ground_truth` maps the frame_id of
    labelled frames to their boxes; frames that it lacks lose their ground truth, and None leaves all ground truth as
    it is. BrowseUnavailable if the database cannot be used.
    """
    fo = connect()
    with answering():
        gathered = _Gathered(
            ScoreTables(score_run), {pick.frame_id: pick for pick in selection}, details or {},
            duplicate_groups(workspace), ground_truth,
        )  # fmt: skip
        return _build(fo, workspace, pool, gathered, progress)


@dataclass(frozen=True)
class _Gathered:
    """What is known of the pool's frames, by frame_id; `groups` are those of near-duplicates."""

    tables: ScoreTables
    picks: Mapping[str, SelectedFrame]
    details: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, int]
    ground_truth: Mapping[str, Sequence[LabeledBox]] | None


def _build(
    fo: ModuleType,
    workspace: Workspace,
    pool: Pool,
    gathered: _Gathered,
    progress: Progress,
) -> DatasetSummary:
    tables = gathered.tables
    name = workspace.dataset_name
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        declare_fields(fo, dataset)
        kept = keep_tags(workspace, samples_collection(dataset))
    else:
        # The tags of a dataset that was deleted, or that lies in another database.
        kept = kept_tags(workspace)
        dataset = new_dataset(fo, name)
    _describe(dataset, workspace, tables)
    collection = samples_collection(dataset)

    same_picks = kept.picks == name_of(gathered.picks)
    progress.start("FiftyOne", pool.frames.num_rows, "frames")
    for batch in frame_batches(pool, tables):
        fields = [_fields(scored, workspace, pool, gathered) for scored in batch]
        _write(collection, dataset, fields, kept, same_picks)
        progress.advance(len(batch))
    progress.finish()
    _delete_frames_not_in(pool, dataset, collection)
    keep_tags(workspace, collection)

    videos = [source.source for source in pool.sources.values() if source.kind == "video" and not source.error]
    save_views(dataset, videos, scored=bool(tables.parts), progress=progress)
    dataset.reload()
    return DatasetSummary(
        name=name,
        samples=collection.count_documents({}),
        selected=collection.count_documents({"rank": {"$gte": 1}}),
    )


def samples_collection(dataset: Any) -> Any:
    """The MongoDB collection of a dataset's samples."""
    return dataset._sample_collection


def _fields(
    scored: ScoredFrame,
    workspace: Workspace,
    pool: Pool,
    gathered: _Gathered,
) -> Document:
    truth = gathered.ground_truth
    frame_id = scored.frame.frame_id
    fields = sample_fields(
        scored,
        pool.sources[scored.frame.source],
        workspace.frames,
        categories=gathered.tables.categories,
        pick=gathered.picks.get(frame_id),
        details=gathered.details.get(frame_id, {}),
        duplicate_group=gathered.groups.get(frame_id),
        ground_truth=None if truth is None else truth.get(frame_id),
    )
    if truth is None:
        del fields["ground_truth"]
    return fields


def _write(collection: Any, dataset: Any, batch: Sequence[Document], kept: PersonTags, same_picks: bool) -> None:
    """Insert the samples that are new, and update those of which something differs, in one bulk write."""
    from pymongo import InsertOne, UpdateOne

    now = datetime.now(UTC)
    frame_ids = [fields["frame_id"] for fields in batch]
    stored = {found["frame_id"]: found for found in collection.find({"frame_id": {"$in": frame_ids}})}
    operations: list[Any] = []
    for fields in batch:
        found = stored.get(fields["frame_id"])
        if found is None:
            document = new_document(fields, kept=kept, same_picks=same_picks, dataset_id=dataset._doc.id, now=now)
            operations.append(InsertOne(document))
        elif update := update_of(found, fields, same_picks=same_picks, now=now):
            operations.append(UpdateOne({"_id": found["_id"]}, update))
    if operations:
        collection.bulk_write(operations, ordered=False)


def _delete_frames_not_in(pool: Pool, dataset: Any, collection: Any) -> None:
    """Delete samples of frames that left the pool; a sample without frame_id is a person's own and stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pool_ids = pool.frames["frame_id"].combine_chunks()
    cursor = collection.find({"frame_id": {"$type": "string"}}, {"frame_id": 1, "_id": 0})
    gone: list[str] = []
    for frame_ids in _chunks((found["frame_id"] for found in cursor), 10_000):
        known = pc.is_in(pa.array(frame_ids, pa.string()), value_set=pool_ids).to_pylist()
        gone += [frame_id for frame_id, is_known in zip(frame_ids, known, strict=True) if not is_known]
    for frame_ids in _chunks(gone, 10_000):
        dataset.delete_samples(dataset.match({"frame_id": {"$in": frame_ids}}))


def _describe(dataset: Any, workspace: Workspace, tables: ScoreTables) -> None:
    """Write where the values come from into the dataset's info, which the App and code read."""
    info = {
        "workspace": str(workspace.root),
        "score_run": tables.run.name if tables.run is not None else None,
        "detector": tables.info.get("detector"),
        "categories": tables.categories,
    }
    if any(dataset.info.get(key) != value for key, value in info.items()):
        dataset.info.update(info)
        dataset.save()


def _chunks(values: Iterable[str], size: int) -> Iterable[list[str]]:
    chunk: list[str] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
