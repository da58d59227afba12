"""What a person decided about the selection with tags in the FiftyOne App, and a copy of it in the workspace.

curate tags the frames that it picked `selected`. A person adds that tag to further frames, takes it off picked ones,
or tags frames `rejected`. The dataset is where these decisions live: `rank` says which frames were picked, so that
tags and ranks together tell what a person changed. `selection/tags.json` is the copy for machines, and moments, where
MongoDB cannot start; it is there as soon as a dataset was built.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.browse.database import BrowseUnavailable, answering, connect
from curate.errors import CurateError
from curate.progress import SILENT, Progress
from curate.workspace import Workspace

SELECTED = "selected"
"""The tag of picked frames; a person may add it to others and take it off."""

REJECTED = "rejected"
"""A person's tag: this frame is not to be labelled."""


@dataclass(frozen=True)
class PersonTags:
    """Frame ids by what a person decided about them.

    `selected` are tagged so without having been picked, `unselected` were picked and lost that tag, `rejected` are
    tagged so. `picks` names the selection that the dataset showed: `unselected` is about no other.
    """

    selected: frozenset[str] = frozenset()
    unselected: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()
    picks: str = ""

    def refused(self, picked: Iterable[str]) -> frozenset[str]:
        """The frames that a person does not want to have labelled, of those picked and of all others."""
        return self.rejected | (self.unselected if self.picks == name_of(picked) else frozenset())


def name_of(picked: Iterable[str]) -> str:
    """A short name for a set of picked frames, whatever their order."""
    return hashlib.sha256("\n".join(sorted(picked)).encode()).hexdigest()[:16]


def current_tags(workspace: Workspace, *, progress: Progress = SILENT) -> PersonTags:
    """The tags as they are now; as they were last read where the database cannot be used.

    Nothing is started for a workspace that has never been shown in FiftyOne.
    """
    if not _file(workspace).exists():
        return PersonTags()
    try:
        fo = connect()
        with answering():
            if fo.dataset_exists(workspace.dataset_name):
                return keep_tags(workspace, fo.load_dataset(workspace.dataset_name)._sample_collection)
    except BrowseUnavailable as error:
        progress.say(f"Tags of the App: as last read, for FiftyOne cannot be asked ({error})")
    return kept_tags(workspace)


def keep_tags(workspace: Workspace, samples: Any) -> PersonTags:
    """Read the tags from a dataset's MongoDB collection of samples, and write selection/tags.json."""
    query = {
        "frame_id": {"$type": "string"},
        "$or": [{"tags": {"$in": [SELECTED, REJECTED]}}, {"rank": {"$gte": 1}}],
    }
    selected, unselected, rejected, picked = set(), set(), set(), set()
    for sample in samples.find(query, {"frame_id": 1, "tags": 1, "rank": 1}):
        frame_id, tags = sample["frame_id"], sample.get("tags") or ()
        was_picked = sample.get("rank") is not None
        if was_picked:
            picked.add(frame_id)
        if REJECTED in tags:
            rejected.add(frame_id)
        if was_picked and SELECTED not in tags:
            unselected.add(frame_id)
        elif not was_picked and SELECTED in tags:
            selected.add(frame_id)
    tags = PersonTags(frozenset(selected), frozenset(unselected), frozenset(rejected), name_of(picked))
    workspace.write_json(
        _file(workspace),
        {
            "selected": sorted(selected),
            "unselected": sorted(unselected),
            "rejected": sorted(rejected),
            "picks": tags.picks,
        },
    )
    return tags


def kept_tags(workspace: Workspace) -> PersonTags:
    """The tags as last read, from selection/tags.json; none where there is no such file."""
    path = _file(workspace)
    if not path.exists():
        return PersonTags()
    values = workspace.read_json(path)
    try:
        selected, unselected, rejected = (
            frozenset(map(str, values[key])) for key in ("selected", "unselected", "rejected")
        )
        return PersonTags(selected, unselected, rejected, str(values["picks"]))
    except (KeyError, TypeError) as error:
        raise CurateError(
            f"{path}: not a list of tags ({error!r}); delete it, and `curate browse` writes it anew"
        ) from error


def _file(workspace: Workspace) -> Path:
    return workspace.selection / "tags.json"
