"""The FiftyOne dataset over a real mongod."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from browse.workspaces import (
    CATEGORIES,
    HEIGHT,
    WIDTH,
    by_uncertainty,
    make_workspace,
    select,
    write_detector_run,
    write_embedding_run,
)

from curate.browse.dataset import LabeledBox, build_dataset, samples_collection
from curate.browse.documents import new_document
from curate.browse.tags import PersonTags
from curate.browse.views import VIDEO_PREFIX
from curate.pool import Pool
from curate.tables import read_table, write_table
from curate.types import cache_path
from curate.workspace import Workspace

STRUCTURED = ("metadata", "predictions", "ground_truth", "created_at", "last_modified_at")


@pytest.fixture
def space(tmp_path: Path) -> tuple[Workspace, Pool]:
    return make_workspace(tmp_path / "space", videos=2, frames=20, images=2)


def load(workspace: Workspace) -> Any:
    import fiftyone as fo

    return fo.load_dataset(workspace.dataset_name)


def documents(workspace: Workspace) -> list[dict[str, Any]]:
    return sorted(samples_collection(load(workspace)).find(), key=lambda found: found["frame_id"])


def test_an_empty_pool_makes_an_empty_dataset(tmp_path: Path) -> None:
    workspace, pool = make_workspace(tmp_path / "empty", videos=0, frames=0)
    summary = build_dataset(workspace, pool, score_run=None, selection=[])
    assert (summary.name, summary.samples, summary.selected) == (workspace.dataset_name, 0, 0)
    assert load(workspace).persistent


def test_ranking_equals_the_selection_and_the_scores(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ranking = by_uncertainty(run)
    # A minimum gap skips frames, so the selection is not the head of the ranking.
    selection = select(pool, list(ranking)[0:12:3], ranking)
    summary = build_dataset(workspace, pool, score_run=run, selection=selection)
    assert (summary.samples, summary.selected) == (42, 4)

    dataset = load(workspace)
    selected = dataset.load_saved_view("selected")
    columns = selected.values(["rank", "frame_id", "frame_index", "timestamp_s", "uncertainty", "utility", "reason"])
    assert list(zip(*columns, strict=True)) == [
        (pick.rank, pick.frame_id, pick.frame_index, pick.timestamp_s, pick.uncertainty, pick.utility, pick.reason)
        for pick in selection
    ]
    assert set(dataset.match_tags("selected").values("frame_id")) == {pick.frame_id for pick in selection}
    ranked = dataset.load_saved_view("ranked")
    assert ranked.values("frame_id") == list(ranking)
    assert ranked.values("uncertainty_rank") == list(range(1, 43))


def test_a_sample_holds_what_the_tables_hold(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    frame_id = "clip01-00000001:00000007"
    truth = {frame_id: [LabeledBox((32.0, 48.0, 160.0, 96.0), "nut")]}
    build_dataset(workspace, pool, score_run=run, selection=[], ground_truth=truth)

    dataset = load(workspace)
    sample = dataset.one({"frame_id": frame_id})
    assert sample.filepath == str(cache_path(workspace.frames, "clip01-00000001", 7))
    assert (sample.source, sample.video, sample.source_path) == ("clip01-00000001", "clip01.mp4", "/data/clip01.mp4")
    assert (sample.frame_index, sample.frame_number, sample.timestamp_s) == (7, 8, 7 / 25)
    assert (sample.state, sample.rank, sample.tags) == ("unlabeled", None, [])
    assert (sample.metadata.width, sample.metadata.height) == (WIDTH, HEIGHT)

    part = read_table(run / "part-000000.parquet")
    row = part.filter(pc.equal(part["frame_id"], frame_id)).to_pylist()[0]
    for name in ("uncertainty", "mean_uncertainty", "max_uncertainty", "objectness_uncertainty"):
        assert sample[name] == row[name]
    assert sample.class_probabilities == row["class_probabilities"]
    predicted = sample.predictions.detections
    assert [box.label for box in predicted] == [CATEGORIES[label] for label in row["labels"]]
    assert [box.confidence for box in predicted] == row["scores"]
    assert [box.uncertainty for box in predicted] == row["box_uncertainties"]
    x1, y1, x2, y2 = row["boxes_xyxy"][0]
    assert predicted[0].bounding_box == pytest.approx([x1 / 160, y1 / 96, (x2 - x1) / 160, (y2 - y1) / 96])
    # The source is 320 x 192.
    (box,) = sample.ground_truth.detections
    assert (box.label, box.bounding_box) == ("nut", [0.1, 0.25, 0.4, 0.25])


def test_frame_number_counts_from_one(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    build_dataset(workspace, pool, score_run=None, selection=[])
    indexes, numbers, videos = load(workspace).values(["frame_index", "frame_number", "video"])
    assert numbers == [index + 1 for index in indexes]
    assert videos.count(None) == 2, "images have no video"


def test_saved_views_of_videos_follow_the_pool(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    build_dataset(workspace, pool, score_run=None, selection=[])
    dataset = load(workspace)
    dataset.save_view("mine", dataset.limit(3))
    names = ["video: clip00-00000000", "video: clip01-00000001"]
    assert [name for name in dataset.list_saved_views() if name.startswith(VIDEO_PREFIX)] == names
    assert dataset.load_saved_view(names[1]).values("frame_index") == list(range(20))

    smaller = Pool(
        [source for source in pool.sources.values() if source.source != "clip00-00000000"],
        pool.frames.filter(pc.not_equal(pool.frames["source"], "clip00-00000000")),
    )
    summary = build_dataset(workspace, smaller, score_run=None, selection=[])
    assert summary.samples == 22
    assert sorted(load(workspace).list_saved_views()) == ["mine", "near-duplicates", "ranked", "selected", names[1]]


def test_cold_start_ranks_by_the_selection(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    chosen = ["photo01-00000001", "clip01-00000001:00000003", "clip00-00000000:00000019"]
    build_dataset(workspace, pool, score_run=write_embedding_run(workspace, pool), selection=select(pool, chosen))
    dataset = load(workspace)
    assert dataset.load_saved_view("ranked").values("frame_id") == chosen
    assert dataset.count("uncertainty") == 0

    run = write_detector_run(workspace, pool)
    build_dataset(workspace, pool, score_run=run, selection=select(pool, chosen[:1]))
    dataset = load(workspace)
    assert dataset.load_saved_view("ranked").values("frame_id") == list(by_uncertainty(run))
    assert dataset.load_saved_view("selected").values("frame_id") == chosen[:1]


def test_a_second_build_writes_nothing(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    selection = select(pool, list(by_uncertainty(run))[:4])
    truth = {"photo00-00000000": [LabeledBox((0.0, 0.0, 10.0, 10.0), "bolt")]}
    build_dataset(workspace, pool, score_run=run, selection=selection, ground_truth=truth)
    before, views = documents(workspace), load(workspace).list_saved_views(info=True)
    build_dataset(workspace, pool, score_run=run, selection=selection, ground_truth=truth)
    assert documents(workspace) == before
    assert load(workspace).list_saved_views(info=True) == views


def test_why_a_frame_was_picked_and_what_looks_the_same(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ranking = list(by_uncertainty(run))
    picks = ranking[:2]
    details = {
        picks[0]: {
            "frame_id": picks[0],
            "utility_parts": {"uncertainty": 0.5, "diversity": 0.25},
            "cluster_size": 1,
            "suppressed": {"count": 3, "frames": []},
            "left_out": {"frame_id": ranking[2], "uncertainty": 0.125, "why": "gap"},
        },
        picks[1]: {"frame_id": picks[1]},
    }
    for part in run.glob("part-*"):
        write_table(part, read_table(part).drop_columns(["entropy"]))
    groups = [4 if frame_id in ranking[2:5] else -1 for frame_id in pool.frames["frame_id"].to_pylist()]
    write_table(workspace.duplicates, pa.table({"frame_id": pool.frames["frame_id"], "duplicate_group": groups}))
    build_dataset(workspace, pool, score_run=run, selection=select(pool, picks), details=details)
    dataset = load(workspace)
    names = (
        "utility_uncertainty",
        "utility_diversity",
        "utility_balance",
        "cluster_size",
        "suppressed_count",
        "left_out",
    )
    first, second, other = (dataset.one({"frame_id": frame_id}) for frame_id in ranking[:3])
    assert [first[name] for name in names] == [0.5, 0.25, None, 1, 3, f"{ranking[2]} (uncertainty 0.125): gap"]
    assert [second[name] for name in names] == [None] * 6
    assert (first.duplicate_group, other.duplicate_group) == (None, 4)
    assert first.entropy is None, "scored before there was a column for it"
    assert set(dataset.load_saved_view("near-duplicates").values("frame_id")) == set(ranking[2:5])
    build_dataset(workspace, pool, score_run=run, selection=select(pool, ranking[5:6]), details={})
    assert load(workspace).count("cluster_size") == 0


def test_labelled_frames_show_their_scores_but_have_no_rank(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ranking = list(by_uncertainty(run))
    pool.set_state(ranking[:2], "labeled")
    build_dataset(workspace, pool, score_run=run, selection=[])
    dataset = load(workspace)
    assert dataset.load_saved_view("ranked").values("frame_id") == ranking[2:]
    assert dataset.one({"frame_id": ranking[0]}).uncertainty is not None
    assert dataset.one({"frame_id": ranking[2]}).uncertainty_rank == 1


def test_what_a_person_did_survives_a_rebuild(space: tuple[Workspace, Pool]) -> None:
    import fiftyone as fo

    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ranking = list(by_uncertainty(run))
    build_dataset(workspace, pool, score_run=run, selection=select(pool, ranking[:4]))
    dataset = load(workspace)
    dataset.match({"frame_id": {"$in": ranking[3:6]}}).tag_samples("blurry")
    dataset.match({"frame_id": ranking[0]}).tag_labels("wrong", label_fields="predictions")
    dataset.add_sample_field("note", fo.StringField)
    dataset.set_values("note", {ranking[9]: "look"}, key_field="frame_id")
    ids = dict(zip(*dataset.values(["frame_id", "id"]), strict=True))

    # The next cycle: another detector, another selection.
    second = write_detector_run(workspace, pool, name="run-2", seed=1)
    build_dataset(workspace, pool, score_run=second, selection=select(pool, ranking[5:8]))
    dataset = load(workspace)
    tags = {frame_id: set(tags) for frame_id, tags in zip(*dataset.values(["frame_id", "tags"]), strict=True) if tags}
    assert tags == {
        ranking[3]: {"blurry"},
        ranking[4]: {"blurry"},
        ranking[5]: {"blurry", "selected"},
        ranking[6]: {"selected"},
        ranking[7]: {"selected"},
    }
    assert dataset.match({"frame_id": ranking[0]}).values("rank") == [None]
    assert dataset.one({"frame_id": ranking[9]}).note == "look"
    assert dict(zip(*dataset.values(["frame_id", "id"]), strict=True)) == ids


def test_tags_on_boxes_stay_while_the_boxes_do(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ranking = list(by_uncertainty(run))
    build_dataset(workspace, pool, score_run=run, selection=[])
    load(workspace).match({"frame_id": ranking[0]}).tag_labels("wrong", label_fields="predictions")
    build_dataset(workspace, pool, score_run=run, selection=select(pool, ranking[:2]))
    dataset = load(workspace)
    dataset.reload()
    assert dataset.count_label_tags() == {"wrong": 3}


def test_ground_truth_none_leaves_it_and_a_mapping_replaces_it(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    first = {"photo00-00000000": [LabeledBox((0.0, 0.0, 32.0, 19.2), "bolt")], "photo01-00000001": []}
    build_dataset(workspace, pool, score_run=None, selection=[], ground_truth=first)
    build_dataset(workspace, pool, score_run=None, selection=[], ground_truth=None)
    labeled = {
        found["frame_id"]: len(found["ground_truth"]["detections"])
        for found in documents(workspace)
        if found.get("ground_truth") is not None
    }
    assert labeled == {"photo00-00000000": 1, "photo01-00000001": 0}, "a labelled frame without objects is labelled"
    build_dataset(workspace, pool, score_run=None, selection=[], ground_truth={})
    assert load(workspace).count("ground_truth") == 0


def test_frames_without_a_usable_score_have_no_rank(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    run = write_detector_run(workspace, pool)
    part = read_table(run / "part-000000.parquet")
    values = part["uncertainty"].to_pylist()
    values[0], values[1], values[2] = float("nan"), 0.5, 0.5
    part = part.set_column(part.schema.get_field_index("uncertainty"), "uncertainty", pa.array(values))
    # The last two frames are not scored; the first row is of a source that has left the pool.
    ids = ["gone-00000000:00000000", *part["frame_id"].to_pylist()[:-2]]
    part = pa.concat_tables([part.slice(4, 1), part.slice(0, part.num_rows - 2)]).set_column(
        0, "frame_id", pa.array(ids)
    )
    write_table(run / "part-000000.parquet", part)
    assert build_dataset(workspace, pool, score_run=run, selection=[]).samples == 42

    dataset = load(workspace)
    ranked = dataset.load_saved_view("ranked")
    frame_ids = pool.frames["frame_id"].to_pylist()
    assert ranked.values("uncertainty_rank") == list(range(1, 40))
    assert set(ranked.values("frame_id")) == set(frame_ids[1:-2])
    tied = [name for name in ranked.values("frame_id") if name in frame_ids[1:3]]
    assert tied == frame_ids[1:3], "equal uncertainties are ordered by frame_id"


def test_documents_are_what_fiftyone_makes(space: tuple[Workspace, Pool]) -> None:
    import fiftyone as fo

    workspace, pool = space
    run = write_detector_run(workspace, pool)
    ids = pool.frames["frame_id"].to_pylist()
    truth = {ids[0]: [LabeledBox((32.0, 48.0, 160.0, 96.0), "nut")]}
    build_dataset(workspace, pool, score_run=run, selection=select(pool, ids[:1]), ground_truth=truth)
    dataset = load(workspace)
    ours = samples_collection(dataset).find_one({"frame_id": ids[0]})
    plain = {name: value for name, value in ours.items() if not name.startswith("_") and name not in STRUCTURED}
    predicted = [
        fo.Detection(**{name: box[name] for name in ("label", "bounding_box", "confidence", "uncertainty")})
        for box in ours["predictions"]["detections"]
    ]
    sample = fo.Sample(
        **plain,
        metadata=fo.ImageMetadata(width=WIDTH, height=HEIGHT, mime_type="image/jpeg"),
        predictions=fo.Detections(detections=predicted),
        ground_truth=fo.Detections(detections=[fo.Detection(label="nut", bounding_box=[0.1, 0.25, 0.4, 0.25])]),
    )
    other = fo.Dataset()
    other.add_sample(sample, dynamic=True)
    theirs = samples_collection(other).find_one()
    for document in (ours, theirs):
        for name in ("_id", "_rand", "_dataset_id", "created_at", "last_modified_at"):
            assert document.pop(name) is not None
        for field in ("predictions", "ground_truth"):
            for box in document[field]["detections"]:
                assert box.pop("_id") is not None
    assert ours == theirs
    assert dataset.media_type == other.media_type
    for path in ("filepath", "metadata", "predictions", "predictions.detections.uncertainty", "metadata.width"):
        assert type(dataset.get_field(path)) is type(other.get_field(path)), path


def test_the_app_sorts_by_index(space: tuple[Workspace, Pool]) -> None:
    workspace, pool = space
    build_dataset(workspace, pool, score_run=write_detector_run(workspace, pool), selection=[])
    dataset = load(workspace)
    assert {"uncertainty", "uncertainty_rank", "rank", "video", "frame_id"} <= set(dataset.list_indexes())
    view = dataset.load_saved_view("ranked")
    plan = samples_collection(dataset).database.command(
        "explain",
        {"aggregate": samples_collection(dataset).name, "pipeline": view._pipeline(), "cursor": {}},
        verbosity="queryPlanner",
    )
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"] if "queryPlanner" in plan else plan)
    assert "'COLLSCAN'" not in str(plan["queryPlanner"]["winningPlan"] if "queryPlanner" in plan else plan)


def test_new_documents_leave_out_what_has_no_value() -> None:
    document = new_document({"frame_id": "a", "rank": None}, kept=PersonTags(), same_picks=False, dataset_id=1, now=2)
    assert "rank" not in document
    assert 0 < document["_rand"] <= 1
