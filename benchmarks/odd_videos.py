"""Every frame of a folder of odd files through the frame cache, against what FFmpeg's full decode gave.

    python benchmarks/odd_videos.py --data odd-videos/ [--csv out.csv] [--imgsz 640] [--workers 2]

`--data` holds the files and PROBE.json: a list with, for each file, `path`, the stored size `w` and `h`, `rot` (degrees
counter-clockwise, as ffprobe says it), `frames`, what a full decode gives (null or 0: none), and of their time stamps
`start`, the first, `dmin` and `dmax`, the shortest and longest step, in seconds. One line is printed a file, sorted by
path; then the totals. A file is "ok" where all these were delivered, at the upright size, and "named" where no frame
was expected, none was delivered and there is a reason. With `--both`, each file that decord read is decoded by PyAV
too: the time stamps must be the same, and the pictures within 3 levels of 255 on average (the two round differently).
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.media.extract import Extracted

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

_SAME_LEVELS = 3.0


@dataclass(frozen=True)
class Row:
    """What came of one file. `verdict` is "ok", "named" or what differs; sizes are upright, "" where not known."""

    file: str
    backend: str
    frames: int
    expected: int
    size: str
    expected_size: str
    verdict: str
    remark: str


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames delivered from odd files against FFmpeg's full decode.")
    parser.add_argument("--data", type=Path, required=True, help="folder of files with PROBE.json")
    parser.add_argument("--csv", type=Path, help="write the table here too")
    parser.add_argument("--imgsz", type=int, default=640, help="long side of the cached frames (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="decoding processes (default: one a core, at most 8)")
    parser.add_argument("--both", action="store_true", help="compare decord with PyAV, picture by picture")
    arguments = parser.parse_args()

    from curate.media.extract import Decoders, ExtractJob, extract
    from curate.types import Sampling

    probed = {entry["path"]: entry for entry in json.loads((arguments.data / "PROBE.json").read_text())}
    jobs = [ExtractJob(arguments.data / path, Sampling(stride=1)) for path in sorted(probed)]
    started = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for done in extract(
            jobs, frames_dir=Path(cache), imgsz=arguments.imgsz, children=Decoders(workers=arguments.workers)
        ):
            file = Path(done.source.path).relative_to(arguments.data).as_posix()
            rows.append(compare(file, done, probed[file]))
    seconds = time.perf_counter() - started
    rows.sort(key=lambda row: row.file)
    for line in table(rows):
        print(line)
    print(totals(rows, seconds))
    if arguments.both:
        print(compare_backends(arguments.data, [row for row in rows if row.backend == "decord"], arguments.imgsz))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def compare(file: str, done: "Extracted", probed: dict[str, Any]) -> Row:
    source, expected = done.source, probed.get("frames") or 0
    size = f"{source.width}x{source.height}" if source.width else ""
    expected_size = ""
    if expected:
        # A rotation that is no number of degrees is damage; the picture stays as it is stored.
        width, height = probed["w"], probed["h"]
        expected_size = f"{height}x{width}" if abs(probed.get("rot") or 0) in (90, 270) else f"{width}x{height}"
    delivered = len(done.frames)
    indices = [frame.frame_index for frame in done.frames]
    times_s = [frame.timestamp_s for frame in done.frames]
    if indices != list(range(delivered)) or times_s != sorted(times_s):
        verdict = "OUT OF ORDER"
    elif delivered != expected:
        verdict = f"{delivered - expected:+d} FRAMES"
    elif expected and size != expected_size:
        verdict = "SIZE"
    elif expected and not times_agree(times_s, probed):
        verdict = "TIMES"
    elif not expected and not done.reason:
        verdict = "NO REASON"
    else:
        verdict = "ok" if expected else "named"
    remark = done.reason or source.backend_reason
    return Row(file, source.backend, delivered, expected, size, expected_size, verdict, remark)


def times_agree(times_s: list[float], probed: dict[str, Any]) -> bool:
    """Whether the first time stamp and the steps are those of PROBE.json, which has whole milliseconds."""
    steps_s = [after - before for before, after in pairwise(times_s)] or [probed["dmin"] or 0.0]
    found_s = (times_s[0], min(steps_s), max(steps_s))
    told_s = (probed["start"], probed["dmin"] or steps_s[0], probed["dmax"] or steps_s[0])
    return all(abs(found - told) < 1.1e-3 for found, told in zip(found_s, told_s, strict=True))


def compare_backends(data: Path, rows: list[Row], imgsz: int) -> str:
    """Each frame of each file with both decoders, at the size of the cache; what differs is printed."""
    import numpy as np

    from curate.media.decode import decode, scaled_size

    frames = different = 0
    largest = 0.0
    for row in rows:
        width, height = map(int, row.size.split("x"))
        size_wh = scaled_size(width, height, imgsz)
        both = [
            decode(data / row.file, lambda index, time_s: True, backend=backend, size_wh=size_wh)
            for backend in ("decord", "pyav")
        ]
        for ours, theirs in zip(*both, strict=True):
            frames += 1
            level = float("inf")
            if ours.timestamp_s == theirs.timestamp_s and ours.rgb is not None and theirs.rgb is not None:
                level = float(np.abs(ours.rgb.astype(np.int16) - theirs.rgb).mean())
            largest = max(largest, level)
            if level > _SAME_LEVELS:
                different += 1
                print(f"{row.file} frame {ours.frame_index}: decord and PyAV differ by {level:.1f} levels")
    return (
        f"decord and PyAV: {len(rows)} files, {frames:,} frames, {different} different; "
        f"the largest mean difference is {largest:.2f} levels"
    )


def table(rows: list[Row]) -> Iterator[str]:
    width = max(len(row.file) for row in rows)
    yield f"{'file':<{width}}  backend  frames  expected  size       verdict     remark"
    for row in rows:
        yield (
            f"{row.file:<{width}}  {row.backend or '-':<7}  {row.frames:6}  {row.expected:8}  {row.size or '-':<9}  "
            f"{row.verdict:<10}  {row.remark}"
        ).rstrip()


def totals(rows: list[Row], seconds: float) -> str:
    verdicts = Counter(row.verdict if row.verdict in ("ok", "named") else "different" for row in rows)
    backends = Counter(row.backend or "none" for row in rows)
    return (
        f"{len(rows)} files, {sum(row.frames for row in rows):,} frames of {sum(row.expected for row in rows):,} "
        f"expected in {seconds:.1f} s: {verdicts['ok']} ok, {verdicts['named']} without frames and named, "
        f"{verdicts['different']} different; "
        + ", ".join(f"{name} {count}" for name, count in sorted(backends.items()))
    )


if __name__ == "__main__":
    main()
