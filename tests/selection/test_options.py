"""How the text of options becomes values, and what is refused."""

from pathlib import Path

import pytest

from curate.errors import UsageError
from curate.selection.cost import LabelingTime
from curate.selection.exclude import read_excluded
from curate.selection.gap import Gap, parse_gap
from curate.selection.options import SelectOptions
from curate.selection.quota import Quota, parse_quota


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("1s", Gap(1.0)),
        ("0", Gap(0.0)),
        ("200ms", Gap(0.2)),
        (".5 s", Gap(0.5)),
        ("2m", Gap(120.0)),
        ("30f", Gap(frames=30)),
        ("0f", Gap(frames=0)),
    ],
)
def test_gap(text: str, gap: Gap) -> None:
    assert parse_gap(text) == gap


@pytest.mark.parametrize("text", ["", "-1", "1.5f", "f", "1x", "nan", "inf", "٣f"])
def test_gap_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--min-gap"):
        parse_gap(text)


def test_quota() -> None:
    assert parse_quota("--per-video-max", "3", least=1) == Quota(count=3)
    tenth = parse_quota("--per-video-max", " 10% ", least=1)
    assert (tenth.least(25), tenth.most(25)) == (2, 3)
    assert (Quota(count=4).least(2), Quota(count=4).most(2)) == (4, 4)
    for text in ("0", "-1", "0%", "101%", "1.5", "x", "٣"):
        with pytest.raises(UsageError, match=r"--per-video-max .* from 1"):
            parse_quota("--per-video-max", text, least=1)


def test_options_are_checked() -> None:
    for options, word in (
        (SelectOptions(acquisition="magic"), "magic"),
        (SelectOptions(balance=1.5), "--balance 1.5"),
        (SelectOptions(duplicates="some"), "--duplicates 'some'"),  # type: ignore[arg-type]
        (SelectOptions(per_video_min=Quota(3), per_video_max=Quota(2)), "--per-video-min 3"),
    ):
        with pytest.raises(UsageError, match=word):
            options.check()
    for seconds in ((0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf"))):
        with pytest.raises(UsageError, match="--seconds-per-"):
            LabelingTime(*seconds)


def test_excluded_frames_from_any_list(tmp_path: Path) -> None:
    csv = tmp_path / "a.csv"
    csv.write_text('\ufeffrank,frame_id,x\n1,v-00000000:00000003,"a,b"\n2\n3,v-00000000:00000004,\n', encoding="utf-8")
    text = tmp_path / "selection.txt"
    text.write_text(
        "v-00000000_f00000005.jpg\nimages/v-00000000_f00000006.jpg\n\nv-00000000:00000007\nphoto-00000000.jpg\n"
    )
    assert read_excluded([csv, text]) == {
        *(f"v-00000000:0000000{n}" for n in (3, 4, 5, 6, 7)),
        "photo-00000000",
    }
    assert read_excluded([]) == set()


def test_unreadable_exclude_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x9f")
    for name in ("empty.csv", "binary.csv", "missing.csv", "."):
        with pytest.raises(UsageError, match="--exclude"):
            read_excluded([tmp_path / name])
