from curate.labels.types import LabeledFrame
from curate.pipeline.train import split_by_source


def labeled(source: str, index: int, *categories: str) -> LabeledFrame:
    return LabeledFrame(
        frame_id=f"{source}:{index:08d}",
        source=source,
        frame_index=index,
        width=10,
        height=10,
        boxes_xyxy=((0.0, 0.0, 5.0, 5.0),) * len(categories),
        categories=categories,
        iscrowd=(False,) * len(categories),
        segmentations=("",) * len(categories),
        label_file="x.json",
        label_file_sha256="0" * 64,
    )


def test_whole_sources_and_about_the_share() -> None:
    frames = [labeled(f"v{i % 10}", i, "car") for i in range(100)]
    training, held_out = split_by_source(frames, holdout=0.2, seed=0)
    assert len(held_out) == 20
    assert {f.source for f in training}.isdisjoint({f.source for f in held_out})
    assert sorted(f.frame_id for f in training + held_out) == sorted(f.frame_id for f in frames)


def test_seed_decides_and_order_of_frames_does_not() -> None:
    frames = [labeled(f"v{i % 10}", i, "car") for i in range(100)]
    held = [{f.source for f in split_by_source(frames, holdout=0.2, seed=seed)[1]} for seed in range(5)]
    assert len({frozenset(sources) for sources in held}) > 1
    assert {f.source for f in split_by_source(frames[::-1], holdout=0.2, seed=0)[1]} == held[0]


def test_a_class_of_one_source_stays_in_training() -> None:
    frames = [labeled("only", 0, "rare"), *(labeled(f"v{i}", 0, "car") for i in range(4))]
    for seed in range(20):
        training, held_out = split_by_source(frames, holdout=0.4, seed=seed)
        assert {c for f in training for c in f.categories} == {"rare", "car"}
        assert held_out


def test_one_source_holds_nothing_out() -> None:
    frames = [labeled("v", i, "car") for i in range(10)]
    assert split_by_source(frames, holdout=0.5, seed=0) == (frames, [])


def test_share_of_zero() -> None:
    frames = [labeled(f"v{i}", i, "car") for i in range(10)]
    assert split_by_source(frames, holdout=0, seed=0)[1] == []
