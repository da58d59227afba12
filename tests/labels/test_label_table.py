"""labels.parquet holds what was put in, and merging loses nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from curate.errors import CurateError
from curate.labels.table import MergeReport, labels_sha256, load_labels, merge, save_labels
from curate.labels.types import EMPTY, LabeledFrame, LabelSet
from curate.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws", imgsz=320)


def frame(index: int, *objects: tuple[float, str], file: str = "/l.json") -> LabeledFrame:
    return LabeledFrame(
        frame_id=f"clip-11111111:{index:08d}",
        source="clip-11111111",
        frame_index=index,
        width=200,
        height=100,
        boxes_xyxy=tuple((x, 0.1, x + 10, 20.0) for x, _ in objects),
        categories=tuple(name for _, name in objects),
        iscrowd=tuple(False for _ in objects),
        segmentations=tuple("" for _ in objects),
        label_file=file,
        label_file_sha256="a" * 64,
    )


CARS = LabelSet(("car", "bus"), (frame(1, (5, "car"), (1 / 3, "bus")), frame(2)))


def test_no_labels_yet(workspace: Workspace) -> None:
    assert load_labels(workspace) == EMPTY


@pytest.mark.parametrize("labels", [EMPTY, CARS, LabelSet(("z", "a"), (frame(3),))])
def test_load_gives_what_was_saved(workspace: Workspace, labels: LabelSet) -> None:
    save_labels(workspace, labels)
    assert load_labels(workspace) == labels


def test_equal_labels_are_equal_bytes(workspace: Workspace) -> None:
    save_labels(workspace, CARS)
    first = workspace.labels.read_bytes()
    save_labels(workspace, replace(CARS, frames=CARS.frames[::-1]))
    assert workspace.labels.read_bytes() == first


def test_a_damaged_table_is_named(workspace: Workspace) -> None:
    workspace.labels.write_bytes(b"PAR1 not")
    with pytest.raises(CurateError, match=r"labels\.parquet.*`curate label --restore NUMBER`"):
        load_labels(workspace)


def test_another_table_is_refused(workspace: Workspace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"frame_id": ["a"]}), workspace.labels)
    with pytest.raises(CurateError, match="not a table of labels"):
        load_labels(workspace)


def test_merge_replaces_the_frames_that_are_new_and_keeps_the_others() -> None:
    new = LabelSet(("person", "car"), (frame(2, (7, "person")), frame(3, (8, "car"))))
    merged, report = merge(CARS, new)
    assert merged.categories == ("car", "bus", "person")
    assert merged.frames == (CARS.frames[0], *new.frames)
    assert report == MergeReport(added=1, replaced=1, kept=1)


def test_merge_with_nothing_changes_nothing() -> None:
    assert merge(CARS, EMPTY) == (CARS, MergeReport(added=0, replaced=0, kept=2))
    assert merge(EMPTY, CARS) == (CARS, MergeReport(added=2, replaced=0, kept=0))
    assert merge(EMPTY, EMPTY) == (EMPTY, MergeReport(0, 0, 0))


def test_a_category_is_kept_when_its_last_object_goes() -> None:
    merged, _ = merge(CARS, LabelSet(("car",), (frame(1, (5, "car")),)))
    assert merged.categories == ("car", "bus")


def test_hash_is_of_what_is_learned() -> None:
    first, second = CARS.frames
    turned = replace(first, boxes_xyxy=first.boxes_xyxy[::-1], categories=first.categories[::-1])
    elsewhere = replace(turned, label_file="/elsewhere.json", label_file_sha256="b" * 64)
    assert labels_sha256(LabelSet(CARS.categories, (second, elsewhere))) == labels_sha256(CARS)


@pytest.mark.parametrize(
    "other",
    [
        replace(CARS, categories=("bus", "car")),
        replace(CARS, frames=CARS.frames[:1]),
        replace(CARS, frames=(frame(1, (5.0001, "car"), (1 / 3, "bus")), frame(2))),
        replace(CARS, frames=(frame(1, (5, "bus"), (1 / 3, "bus")), frame(2))),
        replace(CARS, frames=(frame(1, (5, "car"), (1 / 3, "bus")), frame(3))),
        replace(CARS, frames=(CARS.frames[0], replace(CARS.frames[1], width=201))),
        replace(CARS, frames=(replace(CARS.frames[0], iscrowd=(True, False)), CARS.frames[1])),
    ],
)
def test_hash_changes_with_what_is_learned(other: LabelSet) -> None:
    assert labels_sha256(other) != labels_sha256(CARS)


def test_a_label_set_is_consistent() -> None:
    with pytest.raises(ValueError, match="more than once"):
        LabelSet(("car",), (frame(1), frame(1)))
    with pytest.raises(ValueError, match="does not list"):
        LabelSet(("car",), (frame(1, (1, "bus")),))
    with pytest.raises(ValueError, match="not unique"):
        LabelSet(("car", "car"), ())
    with pytest.raises(ValueError, match="0 categories for 1 boxes"):
        replace(frame(1, (1, "car")), categories=())
