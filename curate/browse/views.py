"""The saved views of the dataset: `ranked`, `selected`, `near-duplicates`, and `video: <source>` for each video."""

from collections.abc import Iterable
from typing import Any

from curate.progress import SILENT, Progress

RANKED = "ranked"
SELECTED = "selected"
DUPLICATES = "near-duplicates"
VIDEO_PREFIX = "video: "

MAX_VIDEO_VIEWS = 200
"""FiftyOne reads all saved views to save one more, and its menu shows them in one list."""


def save_views(dataset: Any, videos: Iterable[str], *, scored: bool, progress: Progress = SILENT) -> None:
    """Bring curate's views up to date; views that a person saved under other names are left alone."""
    ranking = "uncertainty_rank" if scored else "rank"
    # A plain comparison, other than `exists`, can use the index.
    _save(dataset, RANKED, dataset.match({ranking: {"$gte": 1}}).sort_by(ranking))
    _save(dataset, SELECTED, dataset.match({"rank": {"$gte": 1}}).sort_by("rank"))
    _save(dataset, DUPLICATES, dataset.match({"duplicate_group": {"$gte": 0}}).sort_by("duplicate_group"))

    videos = sorted(videos)
    if len(videos) > MAX_VIDEO_VIEWS:
        progress.say(
            f"FiftyOne: saved views for the first {MAX_VIDEO_VIEWS} of {len(videos):,} videos; "
            "choose others under `video` in the App's sidebar"
        )
        videos = videos[:MAX_VIDEO_VIEWS]
    wanted = {VIDEO_PREFIX + source: source for source in videos}
    existing = set(dataset.list_saved_views())
    for name in existing - wanted.keys():
        if name.startswith(VIDEO_PREFIX):
            dataset.delete_saved_view(name)
    for name in sorted(wanted.keys() - existing):
        view = dataset.match({"source": wanted[name]}).sort_by("frame_index")
        dataset.save_view(_free_name(dataset, name), view)


def _save(dataset: Any, name: str, view: Any) -> None:
    # An unchanged view is not saved again: the App may have it open.
    if not dataset.has_saved_view(name) or dataset.load_saved_view(name) != view:
        dataset.save_view(name, view, overwrite=True)


def _free_name(dataset: Any, name: str) -> str:
    """`name`, or `name (2)` and so on where another view's name differs only in what FiftyOne ignores (case, _)."""
    from fiftyone.core.utils import to_slug

    slugs = {to_slug(other) for other in dataset.list_saved_views()}
    free, number = name, 1
    while to_slug(free) in slugs:
        number += 1
        free = f"{name} ({number})"
    return free
