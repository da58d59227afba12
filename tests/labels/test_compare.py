"""Labels against predictions, by small cases that can be counted by hand."""

from dataclasses import replace

import pytest

from curate.labels.compare import FrameChange, Predicted, compare, flip_counts, same_objects, suspects
from curate.labels.types import BoxXyxy, LabeledFrame

SQUARE: BoxXyxy = (10, 10, 20, 20)


def frame(*objects: tuple[BoxXyxy, str], id_: str = "a", crowds: tuple[bool, ...] = ()) -> LabeledFrame:
    boxes = tuple(box for box, _ in objects)
    names = tuple(name for _, name in objects)
    count = len(objects)
    return LabeledFrame(id_, "a", 0, 1000, 1000, boxes, names, crowds or (False,) * count, ("",) * count, "f", "0" * 64)


def moved(box: BoxXyxy, by: float) -> BoxXyxy:
    return box[0] + by, box[1], box[2] + by, box[3]


def kinds(labels: LabeledFrame, *predictions: Predicted) -> list[str]:
    return [one.kind for one in suspects([labels], {"a": list(predictions)})]


def test_nothing_against_nothing() -> None:
    assert compare(frame(), []) == FrameChange("a", (), (), 0, 0)
    assert suspects([], {}) == []
    assert kinds(frame()) == []


def test_each_box_is_matched_once_best_first() -> None:
    labels = frame((SQUARE, "car"), (moved(SQUARE, 2), "car"))
    change = compare(labels, [(moved(SQUARE, 1), "car", 0.9), (moved(SQUARE, 2), "bus", 0.5)])
    # The second label takes its exact twin, of another class, and leaves the first one the other.
    assert change == FrameChange("a", (round(90 / 110, 4), 1.0), (("bus", "car"),), 0, 0)


def test_below_the_threshold_a_box_is_new_and_the_other_is_gone() -> None:
    near, far = moved(SQUARE, 5.3), moved(SQUARE, 5.5)  # IoU 0.307 and 0.290
    assert compare(frame((near, "car")), [(SQUARE, "car", 0.9)]).added == 0
    change = compare(frame((far, "car")), [(SQUARE, "car", 0.9)])
    assert (change.ious, change.added, change.removed) == ((), 1, 1)


def test_crowds_are_left_out() -> None:
    assert compare(frame((SQUARE, "car"), crowds=(True,)), []).added == 0


def test_flips_are_counted_most_often_first() -> None:
    changes = [FrameChange("a", (), (("b", "c"), ("a", "c"), ("b", "c")), 0, 0)]
    assert flip_counts(changes) == [("b", "c", 2), ("a", "c", 1)]


@pytest.mark.parametrize(
    ("seen", "score", "by", "expected"),
    [
        ("bus", 0.9, 0, ["class"]),
        ("bus", 0.49, 0, []),
        ("bus", 0.9, 2, []),  # IoU 0.67: perhaps another object
        ("car", 0.9, 0, []),
    ],
)
def test_another_class_is_suspected_where_the_detector_is_sure(
    seen: str, score: float, by: float, expected: list[str]
) -> None:
    assert kinds(frame((SQUARE, "car")), (moved(SQUARE, by), seen, score)) == expected


def test_a_surer_prediction_of_the_same_class_clears_a_label() -> None:
    labels = frame((SQUARE, "car"))
    assert kinds(labels, (SQUARE, "bus", 0.6), (SQUARE, "car", 0.7)) == []
    assert kinds(labels, (SQUARE, "bus", 0.7), (SQUARE, "car", 0.6)) == ["class"]


def test_a_forgotten_object_is_told_once() -> None:
    elsewhere = moved(SQUARE, 100)
    labels = frame((SQUARE, "car"))
    assert kinds(labels, (elsewhere, "bus", 0.9), (moved(elsewhere, 1), "car", 0.8)) == ["missed"]
    assert kinds(labels, (elsewhere, "bus", 0.69)) == []
    assert kinds(frame((elsewhere, "bus"), crowds=(True,)), (elsewhere, "bus", 0.9)) == []


def test_odd_sizes_are_suspected_only_where_nothing_is_seen() -> None:
    usual = [(moved(SQUARE, 40 * n), "car") for n in range(1, 8)]
    large: BoxXyxy = (500.0, 500.0, 541.0, 541.0)  # 16.8 times the usual area
    labels = frame(*usual, (large, "car"))
    assert kinds(labels) == ["unseen"]
    assert "16.8 times the usual area" in suspects([labels], {"a": []})[0].detail
    assert kinds(labels, (large, "dog", 0.05)) == []
    assert kinds(frame(*usual[:3], (large, "car"))) == []  # too few to say what is usual
    assert kinds(frame(((1, 1, 3.5, 90), "car"))) == ["unseen"]  # 2.5 pixels wide


def test_doubles_need_no_predictions() -> None:
    labels = frame((SQUARE, "car"), (moved(SQUARE, 0.1), "car"), (SQUARE, "bus"))
    assert [(one.kind, one.category) for one in suspects([labels], {})] == [("double", "car")]


def test_the_most_suspicious_come_first() -> None:
    frames = [frame((SQUARE, "car"), id_="a"), frame((SQUARE, "car"), id_="b")]
    found = suspects(frames, {"a": [(SQUARE, "bus", 0.6)], "b": [(SQUARE, "bus", 0.9)]})
    assert [one.frame_id for one in found] == ["b", "a"]


def test_rounding_and_order_are_no_change() -> None:
    polygon = "[[10.0,10.0,20.0,10.0,20.0,20.0]]"
    first = replace(frame((SQUARE, "car"), ((1, 2, 3, 4), "bus")), segmentations=(polygon, ""))
    turned = replace(
        frame(((1, 2, 3.009, 4), "bus"), (SQUARE, "car")), segmentations=("", polygon.replace("20.0]", "20.009]"))
    )
    assert same_objects(first, turned)
    for other in (
        frame((SQUARE, "car")),
        frame((SQUARE, "car"), ((1, 2, 3, 4), "bus")),
        replace(first, categories=("car", "car")),
        replace(first, iscrowd=(True, False)),
        replace(first, boxes_xyxy=((10, 10, 20, 20.02), (1, 2, 3, 4))),
        replace(first, segmentations=(polygon.replace("20.0]", "20.02]"), "")),
        replace(first, segmentations=('{"counts":"a","size":[1000,1000]}', "")),
    ):
        assert not same_objects(first, other)
