"""Tags that a person sets in the App are honoured by export, also where the database cannot be reached."""

import json
from pathlib import Path
from typing import Any

import pytest
from browse.mongod import free_port
from browse.workspaces import by_uncertainty, color_of, write_detector_run
from commands import curate
from PIL import Image

from curate.browse.tags import PersonTags, current_tags, kept_tags, name_of
from curate.errors import CurateError
from curate.labels.table import load_labels
from curate.pipeline.browse import browse
from curate.pipeline.export import export
from curate.pipeline.index import index
from curate.pipeline.label import label
from curate.pipeline.select import select
from curate.pipeline.tags import ADDED_REASON
from curate.pool import Pool
from curate.selection.budget import Budget
from curate.selection.options import SelectOptions
from curate.selection.write import read_selection
from curate.types import export_stem
from curate.workspace import Workspace

PICTURES, PICKED = 8, 3
# Picks of a smaller budget are among those of a larger one.
NESTED = SelectOptions(acquisition="midl")


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """Eight pictures, scored, three of them picked, in FiftyOne."""
    (tmp_path / "in").mkdir()
    for n in range(PICTURES):
        Image.new("RGB", (64, 48), color_of(n, PICTURES)).save(tmp_path / "in" / f"p{n}.png")
    workspace = Workspace.create(tmp_path / "w", imgsz=32)
    index(workspace, [str(tmp_path / "in")])
    write_detector_run(workspace, Pool.load(workspace))
    select(workspace, Budget(count=PICKED), NESTED)
    browse(workspace)
    return workspace


def dataset(workspace: Workspace) -> Any:
    import fiftyone as fo

    found = fo.load_dataset(workspace.dataset_name)
    found.reload()
    return found


def tag(workspace: Workspace, frame_id: str, name: str) -> None:
    dataset(workspace).match({"frame_id": frame_id}).tag_samples(name)


def untag(workspace: Workspace, frame_id: str, name: str) -> None:
    dataset(workspace).match({"frame_id": frame_id}).untag_samples(name)


def tagged(workspace: Workspace, name: str) -> set[str]:
    return set(dataset(workspace).match_tags(name).values("frame_id"))


def ids(workspace: Workspace) -> tuple[list[str], list[str]]:
    """The picked frames in their order, and the others, the most uncertain first."""
    picked = [frame.frame_id for frame in read_selection(workspace.selection)]
    ranking = by_uncertainty(workspace.scores / "run-1")
    return picked, [frame_id for frame_id in ranking if frame_id not in picked]


def exported(workspace: Workspace) -> list[dict[str, Any]]:
    folder = export(workspace, classes=["bolt"]).folder
    images = json.loads((folder / "annotations.json").read_text())["images"]
    assert {image["file_name"] for image in images} == {path.name for path in (folder / "images").iterdir()}
    for image in images:
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert picture.size == (64, 48), "at full size"
    return images


def names(workspace: Workspace) -> list[str]:
    return [image["file_name"].removesuffix(".jpg") for image in exported(workspace)]


def test_without_tags_the_selection_is_exported(space: Workspace) -> None:
    picked, _ = ids(space)
    assert names(space) == [export_stem(frame_id) for frame_id in picked]
    assert kept_tags(space) == PersonTags(picks=name_of(picked))


def test_a_rejected_frame_is_not_exported(space: Workspace) -> None:
    picked, _ = ids(space)
    tag(space, picked[0], "rejected")
    assert names(space) == [export_stem(frame_id) for frame_id in picked[1:]]
    untag(space, picked[0], "rejected")
    assert names(space) == [export_stem(frame_id) for frame_id in picked]


def test_a_rejected_frame_is_not_picked_again(space: Workspace) -> None:
    picked, others = ids(space)
    for frame_id in (picked[0], others[0]):
        tag(space, frame_id, "rejected")
    again = select(space, Budget(count=PICTURES))
    assert {frame.frame_id for frame in again.selection} == {*picked, *others} - {picked[0], others[0]}
    browse(space)
    assert tagged(space, "rejected") == {picked[0], others[0]}, "the tag outlives the selection"
    untag(space, picked[0], "rejected")
    unasked = select(space, Budget(count=PICTURES), fiftyone=False)
    assert {frame.frame_id for frame in unasked.selection} == {frame.frame_id for frame in again.selection}
    asked = select(space, Budget(count=PICTURES))
    assert {frame.frame_id for frame in asked.selection} == {*picked, *others} - {others[0]}


def test_a_frame_that_lost_the_tag_selected_is_not_exported(space: Workspace) -> None:
    picked, _ = ids(space)
    untag(space, picked[1], "selected")
    assert names(space) == [export_stem(picked[0]), export_stem(picked[2])]
    browse(space)
    assert tagged(space, "selected") == {picked[0], picked[2]}, "a rebuild does not put the tag back"
    assert names(space) == [export_stem(picked[0]), export_stem(picked[2])]


def test_a_frame_that_was_tagged_selected_is_added(space: Workspace) -> None:
    picked, others = ids(space)
    tag(space, others[3], "selected")
    tag(space, others[1], "selected")
    images = exported(space)
    assert [image["file_name"] for image in images[PICKED:]] == [f"{export_stem(others[n])}.jpg" for n in (1, 3)]
    ranking = by_uncertainty(space.scores / "run-1")
    assert [(image["rank"], image["reason"]) for image in images[PICKED:]] == [(4, ADDED_REASON), (5, ADDED_REASON)]
    assert images[PICKED]["uncertainty"] == pytest.approx(ranking[others[1]], rel=1e-5)
    browse(space)
    assert tagged(space, "selected") == {*picked, others[1], others[3]}, "a rebuild leaves the tag"


def test_rejected_wins_over_selected(space: Workspace) -> None:
    picked, others = ids(space)
    tag(space, others[0], "selected")
    tag(space, others[0], "rejected")
    assert names(space) == [export_stem(frame_id) for frame_id in picked]


def test_nothing_left_is_an_error(space: Workspace) -> None:
    for frame_id in ids(space)[0]:
        tag(space, frame_id, "rejected")
    with pytest.raises(CurateError, match="all 3 selected frames are rejected in the App"):
        exported(space)


def test_another_selection_forgets_which_picks_were_taken_off(space: Workspace) -> None:
    picked, others = ids(space)
    untag(space, picked[0], "selected")
    tag(space, others[-1], "selected")
    select(space, Budget(count=PICKED + 1), NESTED)
    # FiftyOne has not seen this selection yet.
    assert names(space)[: PICKED + 1] == [export_stem(frame_id) for frame_id in [*picked, others[0]]]
    browse(space)
    assert tagged(space, "selected") == {*picked, others[0], others[-1]}
    assert len(names(space)) == PICKED + 2


def test_a_frame_that_left_the_selection_loses_the_tag(space: Workspace) -> None:
    picked, _ = ids(space)
    select(space, Budget(count=1), NESTED)
    browse(space)
    assert tagged(space, "selected") == {picked[0]}


def test_without_the_database_the_tags_are_those_last_read(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    picked, others = ids(space)
    tag(space, picked[0], "rejected")
    untag(space, picked[1], "selected")
    tag(space, others[0], "selected")
    browse(space)
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"mongodb://127.0.0.1:{free_port()}")
    said = curate("export", "--classes", "bolt", "-w", space.root).stdout
    assert "Tags of the App: as last read" in said
    assert "2 frames taken out and 1 added" in said
    listed = (space.exports / "coco" / "selection.txt").read_text().split()
    assert listed == [f"{export_stem(frame_id)}.jpg" for frame_id in (picked[2], others[0])]


def test_a_workspace_that_was_never_shown_starts_no_database(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (space.selection / "tags.json").unlink()
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"mongodb://127.0.0.1:{free_port()}")
    assert "Tags" not in curate("export", "--classes", "bolt", "-w", space.root).stdout


def test_a_dataset_that_was_deleted_comes_back_with_its_tags(space: Workspace) -> None:
    import fiftyone as fo

    picked, others = ids(space)
    tag(space, picked[0], "rejected")
    untag(space, picked[1], "selected")
    tag(space, others[0], "selected")
    before = current_tags(space)
    fo.delete_dataset(space.dataset_name)
    assert current_tags(space) == before
    browse(space)
    assert current_tags(space) == before
    assert tagged(space, "selected") == {picked[0], picked[2], others[0]}
    assert tagged(space, "rejected") == {picked[0]}


def test_damaged_tags_are_an_error(space: Workspace) -> None:
    (space.selection / "tags.json").write_text('{"selected": 3}')
    with pytest.raises(CurateError, match=r"tags\.json: not a list of tags .*`curate browse` writes it anew"):
        kept_tags(space)


def test_labels_that_came_back_stand_beside_the_predictions(space: Workspace, tmp_path: Path) -> None:
    picked, others = ids(space)
    tag(space, others[0], "selected")
    folder = export(space, classes=["bolt"], with_predictions=False).folder
    document = json.loads((folder / "annotations.json").read_text())
    document["annotations"] = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [8, 6, 16, 12], "area": 192, "iscrowd": 0}
        for n in (1, 2, 3, 4)
    ]
    returned = tmp_path / "returned.json"
    returned.write_text(json.dumps(document))
    label(space, returned)
    assert len(load_labels(space).frames) == PICKED + 1
    browse(space)

    samples = dataset(space).match({"frame_id": {"$in": [*picked, others[0]]}})
    assert samples.count("ground_truth.detections") == PICKED + 1
    assert samples.count("predictions.detections") == 3 * (PICKED + 1)
    assert set(samples.values("state")) == {"labeled"}
    (box,) = samples.first().ground_truth.detections
    assert (box.label, box.bounding_box) == ("bolt", [0.125, 0.125, 0.25, 0.25])
    # What was asked for by hand has its label now: it is not asked for again.
    assert tagged(space, "selected") == set(picked)
    assert others[0] not in current_tags(space).selected
